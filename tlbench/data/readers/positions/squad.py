"""Questions whose answer is a span of a paragraph (task = "spans"): JSON files of SQuAD's form, such as XQuAD's.

Rajpurkar, Zhang, Lopyrev and Liang, SQuAD: 100,000+ questions for machine comprehension of text, EMNLP 2016.
https://aclanthology.org/D16-1264. A sample is one sequence of tokens, the question and then its context; each token of the
context is where the answer starts, where it ends, both, or neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tlbench.data.decoding import files, table_options
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.labels.spans import span_labels
from tlbench.data.texts.question_tokens import encode_questions
from tlbench.data.texts.questions import read_questions
from tlbench.passages import Passages
from tlbench.terms import Strict

PATH_KEYS = ("path", "vocabulary")
LIBRARIES = ("transformers",)


class Options(Strict, strict=True):
    """The files, what of them is read, and how texts become tokens."""

    path: Annotated[table_options.Paths, Field(description="a file of SQuAD's form (also .gz), or a list")]
    articles: (
        Annotated[
            list[Annotated[int, Field(ge=0)]],
            Field(min_length=2, max_length=2, description="the first article that is read, from 0, and the one after the last"),
        ]
        | None
    ) = None
    context: Annotated[
        Literal["paragraph", "sentence"],
        Field(description="the whole paragraph, or its sentence with the answer, which is an easier task"),
    ] = "paragraph"
    vocabulary: Annotated[str, Field(description="the folder of a tokenizer, relative to the data root")]
    length: Annotated[
        int, Field(gt=4, le=8192, description="tokens of a sample, question and context; the longer of the two is cut")
    ] = 384
    answer: Annotated[int, Field(ge=1, description="tokens of the longest answer that is predicted")] = 30

    @model_validator(mode="after")
    def _some_articles(self) -> Self:
        if self.articles is not None and self.articles[0] >= self.articles[1]:
            raise ValueError(f"articles = {self.articles} names no article: the second number is the one after the last.")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """Token ids (N, length) int32, and the class of each token (N, length), "" where it is none of the context.

    Raises:
        TlbenchError: a file that is not there or has another form, a question without an answer, or an answer that is not where
            the file says.
    """
    articles = None if options.articles is None else (options.articles[0], options.articles[1])
    questions = read_questions(options.path, root, articles)
    if options.context == "sentence":
        questions = [question.in_sentence() for question in questions]
    tokens = encode_questions(questions, files.find_folder(root, options.vocabulary), options.length)
    passages = Passages(
        tuple(question.context for question in questions),
        tuple(question.answers for question in questions),
        tokens.characters,
        options.answer,
    )
    lost = tokens.spans.count(None)
    too_long = sum(span is not None and span[1] - span[0] >= options.answer for span in tokens.spans)
    left_out = [
        f"{lost:,} of {len(questions):,} answers lie beyond {options.length} tokens; no prediction can be right there",
        f"{too_long:,} of {len(questions):,} answers have more than {options.answer} tokens, and longer ones are not predicted",
    ]
    notes = tuple(note for note, count in zip(left_out, (lost, too_long), strict=True) if count)
    reading = (f"{len(questions):,} questions on a {options.context} each, from {', '.join(options.path)}",)
    y = span_labels(tokens.in_context, tokens.spans)
    return ReaderResult(tokens.ids, y, left_out=notes, reading=reading, tokens=True, passages=passages)
