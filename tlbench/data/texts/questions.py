"""Questions on paragraphs in a JSON file of SQuAD's form, and the answers, which are spans of the paragraph."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbench import plain_files
from tlbench.data.decoding import files
from tlbench.data.texts import text_files
from tlbench.errors import TlbenchError

SENTENCE_END = re.compile("[.!?]\\s+|[\u3002\uff01\uff1f]|\\n")
"""Where a sentence ends, with the signs of Chinese and Japanese; abbreviations end one as well."""


@dataclass(frozen=True)
class Question:
    """A question, the text that holds its answer, and where in it the first of its answers is."""

    question: str
    context: str
    answers: tuple[str, ...]
    start: int
    """The first character of the first answer within the context."""

    @property
    def end(self) -> int:
        """The character after the last one of the first answer."""
        return self.start + len(self.answers[0])

    def in_sentence(self) -> Question:
        """The same question on the sentence of its context that holds the answer, or on several where the answer does."""
        ends = [match.end() for match in SENTENCE_END.finditer(self.context)]
        first = max((end for end in ends if end <= self.start), default=0)
        last = min((end for end in ends if end >= self.end), default=len(self.context))
        return Question(self.question, self.context[first:last].rstrip(), self.answers, self.start - first)


def read_questions(names: Sequence[str], root: Path, articles: tuple[int, int] | None) -> list[Question]:
    """The questions of files, in their order.

    Args:
        names: the files, plain or gzip, relative to the data root.
        root: the data root.
        articles: the first article of each file that is read, from 0, and the one after the last; None: all of them.

    Raises:
        TlbenchError: a file that is not there or has another form, a question without an answer, or an answer that is not in
            its paragraph at the place that the file says.
    """
    return [question for name in names for question in _questions_of(files.find(root, name), name, articles)]


def _questions_of(path: Path, name: str, articles: tuple[int, int] | None) -> list[Question]:
    content = text_files.decoded(text_files.unzipped(path), name, "utf-8-sig")
    try:
        value = plain_files.parse_json(content)
    except json.JSONDecodeError as error:
        raise TlbenchError(f"{name}: This is no JSON, or it is cut off: {error}.") from error
    except TlbenchError as error:
        raise TlbenchError(f"{name}: {error}") from error
    listed = _items(value, "data", name)
    first, last = articles or (0, len(listed))
    if last > len(listed):
        raise TlbenchError(f"{name}: The file has {len(listed)} articles, and articles = [{first}, {last}]. Name fewer.")
    questions = [
        question
        for number, article in enumerate(listed[first:last], first)
        for index, paragraph in enumerate(_items(article, "paragraphs", f"{name}: data[{number}]"))
        for question in _questions_on(paragraph, f"{name}: data[{number}].paragraphs[{index}]")
    ]
    if not questions:
        raise TlbenchError(f"{name}: The file holds no question.")
    return questions


def _questions_on(paragraph: Any, where: str) -> Iterator[Question]:
    """The questions on a paragraph."""
    questions = _items(paragraph, "qas", where)
    context = _text(paragraph, "context", where)
    for number, entry in enumerate(questions):
        at = f"{where}.qas[{number}]"
        answers = _items(entry, "answers", at)
        question = _text(entry, "question", at)
        if not answers:
            raise TlbenchError(
                f"{at}: The question has no answer. Each one needs an answer in its paragraph: leave out the questions of "
                "SQuAD 2.0 that are impossible."
            )
        starts = [_start(answer, context, f"{at}.answers[{index}]") for index, answer in enumerate(answers)]
        yield Question(question, context, tuple(answer["text"] for answer in answers), starts[0])


def _start(answer: Any, context: str, where: str) -> int:
    """The first character of an answer.

    Raises:
        TlbenchError: its text is not in the context at this place.
    """
    text = _text(answer, "text", where)
    start = answer.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool):
        raise TlbenchError(f"{where}: answer_start must be a whole number, and it is {start!r:.60}.")
    if start < 0 or context[start : start + len(text)] != text:
        there = context[max(start, 0) : max(start, 0) + len(text)]
        raise TlbenchError(
            f"{where}: The answer is {text!r:.60}, and the context has {there!r:.60} at answer_start = {start}. answer_start "
            "counts characters from 0, not bytes: correct the file."
        )
    return start


def _items(value: Any, key: str, where: str) -> list[Any]:
    """The list under a key of an object."""
    items = value.get(key) if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise TlbenchError(
            f"{where}: It has no list {key!r}. A file of SQuAD's form nests data, paragraphs, qas and answers: "
            '{"data": [{"paragraphs": [{"context": ..., "qas": [{"question": ..., "answers": [...]}]}]}]}.'
        )
    return items


def _text(value: Any, key: str, where: str) -> str:
    """The text under a key of an object, which is not blank."""
    text = value.get(key) if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise TlbenchError(f"{where}: {key!r} must be a text that is not blank, and it is {text!r:.60}.")
    return text
