"""What each of the programs is made of: flags, verbs, logs, run, health, leader, tables.

Nothing here knows metrics, rules or a program's own settings: a program hands in its settings type and its jobs.
"""
