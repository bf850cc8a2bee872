"""The laboratory: replay, backtest, report and explain over files and history. The loop never imports it."""
