"""Test-time adaptation on the stream."""

from __future__ import annotations

import torch
from engine_runs import run_done, short_suite

from tlbench import methods
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.storage import Subset
from tlbench.engine.streams.predictor import predict_online
from tlbench.nn.net import Backbone, Net
from tlbench.suite import Network


def test_a_rate_of_zero_on_the_stream_moves_no_parameter():
    records = [run_done("tent", short_suite(net={"batch_norm": True}), options={"lr": lr}) for lr in (0.0, 1e-9)]
    assert records[0].scores.target_accuracy == records[1].scores.target_accuracy


def test_on_the_stream_dropout_is_off_and_the_norms_use_the_batch():
    linear, norm = torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8)
    backbone = Backbone([linear, norm, torch.nn.Dropout(0.5)], 8)
    method = methods.method_class("tent")(Net(backbone, 3), lr=0.0)
    x = torch.randn(12, 6)
    scores = predict_online(method, Subset.of(x), Inputs(Network(), channels_last=False), 12)
    features = torch.nn.functional.batch_norm(linear(x), None, None, norm.weight, norm.bias, training=True)
    torch.testing.assert_close(scores, method.net.head(features))
