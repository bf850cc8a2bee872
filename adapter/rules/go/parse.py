"""From a Go template's text to its nodes: one pass, text and actions in turn."""

import ast
import math
from collections.abc import Mapping

from adapter.rules.go.functions import FUNCTIONS, NIL, Value
from adapter.rules.go.lex import Lexer, Token
from adapter.rules.go.render import (
    Branch,
    Command,
    Field,
    Jump,
    Literal,
    Node,
    Operand,
    Output,
    Pipe,
    TemplateError,
    Text,
    Variable,
    Word,
)

MAX_TEMPLATE = 65536
"""Characters of one template."""

MAX_DEPTH = 50
"""Blocks and parentheses inside each other."""

_WORDS: Mapping[str, Value] = {"true": True, "false": False, "nil": NIL}
_UNREAD = ("define", "template", "block", "html", "js", "urlquery", "call")


class Parser:
    """One pass: text and actions in turn; an action is lexed whole, then parsed by descent."""

    def __init__(self, source: str) -> None:
        self.lexer = Lexer(source)
        self.end = len(source)
        self.scopes: list[set[str]] = [{"$"}]
        self.loops = 0
        self.depth = 0

    def parse(self) -> tuple[Node, ...]:
        nodes, ending = self.block(top=True)
        if ending is not None:
            raise self.error(f"`{ending.text}` without an `if`, `range` or `with` before it", ending.at)
        return tuple(nodes)

    # text and blocks

    def block(self, top: bool = False) -> tuple[list[Node], Token | None]:
        """The nodes up to the `else` or `end` that closes the block, and that word; None at the end of the text."""
        nodes: list[Node] = []
        while True:
            if text := self.lexer.text():
                nodes.append(Text(text))
            if self.lexer.at_end:
                if not top:
                    raise self.error("a block is not closed with `end`", self.end)
                return nodes, None
            if not self.lexer.action():
                continue
            if (token := self.lexer.peek()).text in ("end", "else"):
                self.lexer.take()
                return nodes, token
            nodes.append(self.node())

    def node(self) -> Node:
        token = self.lexer.peek()
        if token.kind == "word" and token.text in ("if", "range", "with"):
            return self.branch(self.lexer.take().text)
        if token.kind == "word" and token.text in ("break", "continue"):
            self.lexer.take()
            if not self.loops:
                raise self.error(f"`{token.text}` stands outside of a range", token.at)
            self.lexer.end_of_action()
            return Jump(token.text)
        if token.kind == "word" and token.text in _UNREAD:
            raise self.error(f"`{token.text}` is not supported in rules", token.at)
        pipe = self.pipe("an action")
        self.lexer.end_of_action()
        return Output(pipe)

    def branch(self, kind: str) -> Branch:
        self.enter()
        self.scopes.append(set(self.scopes[-1]))
        pipe = self.pipe(f"`{kind}`", ranges=kind == "range")
        self.lexer.end_of_action()
        self.loops += kind == "range"
        body, ending = self.block()
        self.loops -= kind == "range"
        otherwise = self.otherwise(kind, ending) if ending and ending.text == "else" else self.end_without_else()
        self.scopes.pop()
        self.depth -= 1
        return Branch(kind, pipe, tuple(body), otherwise)

    def end_without_else(self) -> tuple[Node, ...]:
        self.lexer.end_of_action()
        return ()

    def otherwise(self, kind: str, ending: Token) -> tuple[Node, ...]:
        token = self.lexer.peek()
        if token.kind == "word" and token.text == kind and kind in ("if", "with"):
            return (self.branch(self.lexer.take().text),)
        self.lexer.end_of_action()
        nodes, last = self.block()
        if last is None or last.text != "end":
            raise self.error("a second `else` in one block", ending.at)
        self.lexer.end_of_action()
        return tuple(nodes)

    # pipelines

    def pipe(self, context: str, ranges: bool = False) -> Pipe:
        at = self.lexer.peek().at
        variables, declares = self.declaration(ranges)
        commands = [self.command(context)]
        while self.lexer.peek().text == "|" and self.lexer.peek().kind == "sign":
            self.lexer.take()
            commands.append(self.command(context))
        for command in commands[1:]:
            if not isinstance(command.operands[0], Word):
                raise self.error("only a function can stand after `|`", command.at)
        if declares:
            self.scopes[-1].update(variables)
        return Pipe(variables, declares, tuple(commands), at)

    def declaration(self, ranges: bool) -> tuple[tuple[str, ...], bool]:
        """`$x :=`, `$x =` and, in range, `$i, $x :=`; nothing is taken where none is there."""
        names: list[str] = []
        ahead = self.lexer.next
        while self.lexer.tokens[ahead].kind == "variable" and self.lexer.tokens[ahead + 1].kind == "sign":
            names.append(self.lexer.tokens[ahead].text)
            sign = self.lexer.tokens[ahead + 1]
            ahead += 2
            if sign.text in (":=", "="):
                if len(names) > (2 if ranges else 1):
                    raise self.error("too many variables are declared at once", sign.at)
                if sign.text == "=" and any(name not in self.scopes[-1] for name in names):
                    raise self.error(f"the variable {names[0]} is not declared", sign.at)
                self.lexer.next = ahead
                return tuple(names), sign.text == ":="
            if sign.text != ",":
                break
        return (), False

    def command(self, context: str) -> Command:
        at = self.lexer.peek().at
        operands: list[Operand] = []
        while (token := self.lexer.peek()).kind != "end" and not (token.kind == "sign" and token.text in "|)"):
            if operands and token.adjoins and token.kind not in ("field",):
                raise self.error(f"a space is missing before {token.text!r}", token.at)
            operands.append(self.operand())
        if not operands:
            raise self.error(f"a value or a function is missing in {context}", at)
        return Command(tuple(operands), at)

    def operand(self) -> Operand:
        token = self.lexer.take()
        base = self.term(token)
        names: list[str] = []
        while self.lexer.peek().kind == "field" and self.lexer.peek().adjoins:
            names.append(self.lexer.take().text[1:])
        if token.kind == "field":
            return Field(None, (token.text[1:], *names), token.at)
        if not names:
            return base
        if not isinstance(base, Variable | Pipe):
            raise self.error(f"{token.text} has no fields", token.at)
        return Field(base, tuple(names), token.at)

    def term(self, token: Token) -> Operand:
        match token.kind:
            case "field" | "dot":
                return Field(None, (), token.at)
            case "variable":
                if token.text not in self.scopes[-1]:
                    raise self.error(f"the variable {token.text} is not declared", token.at)
                return Variable(token.text, token.at)
            case "string" | "raw" | "char" | "number":
                return Literal(self.literal(token), token.at)
            case "word":
                return self.word(token)
        if token.text != "(":
            raise self.error(f"{token.text!r} cannot stand here", token.at)
        self.enter()
        pipe = self.pipe("parentheses")
        if (closing := self.lexer.take()).text != ")":
            raise self.error("a parenthesis is not closed", closing.at)
        self.depth -= 1
        return pipe

    def word(self, token: Token) -> Operand:
        if token.text in _WORDS:
            return Literal(_WORDS[token.text], token.at)
        if token.text not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise self.error(f"there is no function {token.text!r}; known are {known}", token.at)
        return Word(token.text, token.at)

    def literal(self, token: Token) -> Value:
        if token.kind == "raw":
            return token.text[1:-1]
        try:
            if token.kind == "number":
                return _number(token.text)
            text = str(ast.literal_eval(token.text))
            text.encode()  # half a pair of surrogates is no character, in Go neither
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise self.error(f"{token.text} cannot be read", token.at) from None
        if token.kind == "char" and len(text) != 1:
            raise self.error(f"{token.text} is not one character", token.at)
        return ord(text) if token.kind == "char" else text

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} blocks or parentheses inside each other", self.lexer.peek().at)

    def error(self, problem: str, at: int) -> TemplateError:
        return self.lexer.error(problem, at)


def _number(text: str) -> int | float:
    """An int64 or a finite float64, as Go has them. Raises ValueError."""
    try:
        whole = int(text, 0)
    except ValueError:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is beyond a float64") from None
        return number
    if not -(2**63) <= whole < 2**63:
        raise ValueError(f"{text} is beyond an int64")
    return whole
