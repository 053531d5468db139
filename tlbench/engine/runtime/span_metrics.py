"""Answers that are spans of a passage: the best valid span of class scores of tokens, exact match, and F1 of words.

The two scores are those of the official evaluation of SQuAD 1.1, which XQuAD is scored by as well. Rajpurkar, Zhang, Lopyrev
and Liang, SQuAD: 100,000+ questions for machine comprehension of text, EMNLP 2016. https://aclanthology.org/D16-1264
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from tlbench.data.labels.spans import SPAN_CLASSES
from tlbench.passages import Passages
from tlbench.terms import IGNORED

CHUNK = 64
"""Samples whose spans, P x P of each, are compared at a time."""
START, END, SINGLE = range(1, len(SPAN_CLASSES))
LARGEST_LOG_ODDS = 1e6
PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLE = re.compile(r"\b(a|an|the)\b")


def best_spans(scores_MC: Tensor, y_NP: Tensor, longest: int) -> Tensor:
    """The predicted classes (N, P) of tokens: the start and the end of the best valid span, and outside elsewhere.

    A span is as good as the sum of the log-odds that its first token is a start and that its last one is an end: where one
    token alone is the start, the probability that it is a certain one is in proportion to these odds. A span is valid where it
    ends no earlier than it starts, has at most `longest` tokens, and lies in the context.

    Args:
        scores_MC: class scores (N * P, 4), logits in the order of `SPAN_CLASSES`.
        y_NP: class indices, of which only those that are `IGNORED` count: tokens that are none of the context.
        longest: tokens of a span.
    """
    samples, length = y_NP.shape
    logs_NPC = scores_MC.double().log_softmax(dim=1).view(samples, length, len(SPAN_CLASSES))
    valid_PP = torch.ones(length, length, dtype=torch.bool).triu().tril(longest - 1)
    predicted_NP = torch.zeros_like(y_NP)
    for numbers in torch.arange(samples).split(CHUNK):
        outside, start, end, single = logs_NPC[numbers].unbind(dim=2)
        starts_BP = _log_odds(torch.logaddexp(start, single), torch.logaddexp(outside, end))
        ends_BP = _log_odds(torch.logaddexp(end, single), torch.logaddexp(outside, start))
        counted_BP = y_NP[numbers] != IGNORED
        spans_BPP = starts_BP[:, :, None] + ends_BP[:, None, :]
        allowed_BPP = valid_PP & counted_BP[:, :, None] & counted_BP[:, None, :]
        best_B = spans_BPP.masked_fill(~allowed_BPP, -torch.inf).flatten(1).argmax(dim=1)
        first_B, last_B = best_B // length, best_B % length
        predicted_NP[numbers, last_B] = END
        predicted_NP[numbers, first_B] = torch.where(first_B == last_B, SINGLE, START)
    return predicted_NP


def _log_odds(log_share: Tensor, log_rest: Tensor) -> Tensor:
    """The difference of two log-probabilities, within numbers whose sums are finite."""
    return (log_share - log_rest).clamp(-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


def answer_scores(predicted_NP: Tensor, passages: Passages) -> dict[str, Any]:
    """The exact match and the F1 of the predicted spans, means over samples; of several right answers the best one counts.

    Args:
        predicted_NP: the predicted classes of tokens, a start and an end in each sample.
        passages: the texts of the samples.
    """
    first_N = ((predicted_NP == START) | (predicted_NP == SINGLE)).int().argmax(dim=1).tolist()
    last_N = ((predicted_NP == END) | (predicted_NP == SINGLE)).int().argmax(dim=1).tolist()
    texts = [passages.text(number, *span) for number, span in enumerate(zip(first_N, last_N, strict=True))]
    pairs = list(zip(texts, passages.answers, strict=True))
    return {
        "exact_match": sum(max(exact_match(text, answer) for answer in right) for text, right in pairs) / len(pairs),
        "answer_f1": sum(max(word_f1(text, answer) for answer in right) for text, right in pairs) / len(pairs),
    }


def normalized(text: str) -> str:
    """A text in lower case, without ASCII punctuation and English articles, with single blanks between words."""
    return " ".join(ARTICLE.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(predicted: str, right: str) -> float:
    """1 where both texts are the same after normalisation, else 0."""
    return float(normalized(predicted) == normalized(right))


def word_f1(predicted: str, right: str) -> float:
    """The F1 of the words of a predicted text, counted as often as they occur; 0 where no word is shared."""
    words, right_words = normalized(predicted).split(), normalized(right).split()
    shared = (Counter(words) & Counter(right_words)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(words), shared / len(right_words)
    return 2 * precision * recall / (precision + recall)
