"""Losses of deep adaptation, held to the code of their authors or of a library on the same tensors.

The golden numbers come from that code, run on its own; a comment names the repository and the commit.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn
from wave_samples import (
    CLASSES,
    HEAD_CD,
    LABELS,
    SOURCE_BC,
    SOURCE_BD,
    TARGET_BC,
    TARGET_BD,
    Fixed,
    Identity,
    is_close,
    new_method,
    wave,
)

from tlbench.nn import distances
from tlbench.nn.entropy import entropy, entropy_of_mean
from tlbench.nn.heads import domain_loss
from tlbench.nn.net import Backbone
from tlbench.nn.spectral import nuclear_norm, squared_spectral_norm
from tlbench.terms import Labelled, Step


def test_entropies():
    # KevinMusgrave/pytorch-adapt at 1366df7: EntropyLoss and DiversityLoss
    assert is_close(entropy(TARGET_BC).mean(), 0.9171091)
    assert is_close(entropy_of_mean(TARGET_BC), 1.3807563)


def test_a_pseudo_label_counts_above_the_threshold():
    # thuml/Transfer-Learning-Library at c4aa59e: ConfidenceBasedSelfTrainingLoss(0.6)
    assert is_close(new_method("pseudo_label", threshold=0.6).self_training_loss(TARGET_BC), 0.0409391)


def test_nuclear_norm():
    # KevinMusgrave/pytorch-adapt at 1366df7: BNMLoss; cuishuhao/BNM at 2d23c61 takes the mean of the C singular values
    norm = nuclear_norm(TARGET_BC.softmax(dim=1))
    assert is_close(norm / 12, 0.3793076) and is_close(norm / CLASSES, 1.1379229)


def test_norm_loss_of_safn():
    # thuml/Transfer-Learning-Library at c4aa59e: AdaptiveFeatureNorm(1), its value and the gradient of the first sample
    features = SOURCE_BD.clone().requires_grad_()
    loss = new_method("safn").norm_loss(features)
    gradient = [-0.0711962, -0.0798308, -0.0570316, 0.0391558, -0.0558006, 0.0271131, -0.0800444, -0.0359752]
    assert is_close(loss, 1.0) and is_close(torch.autograd.grad(loss, features)[0][0], gradient)


def test_joint_kernel_of_jan():
    # tim-learn/ATDOC at b025a81: the product of its two kernel matrices, as a V-statistic; JAN() itself leaves out the diagonal
    method, softmax_NC = new_method("jan"), torch.cat([SOURCE_BC, TARGET_BC]).softmax(dim=1)
    assert is_close(method.joint_mmd(SOURCE_BD, TARGET_BD, softmax_NC), 0.7392626)
    kernel = distances.gaussian_kernel(torch.cat([SOURCE_BD, TARGET_BD]), 5)
    kernel = kernel * (-distances.squared_distances(softmax_NC) / 1.68).exp()
    inner = [(block.sum() - block.trace()) / (12 * 11) for block in (kernel[:12, :12], kernel[12:, 12:])]
    assert is_close(inner[0] + inner[1] - 2 * kernel[:12, 12:].mean(), 0.1999371)


def test_local_mmd_of_dsan():
    # easezyc/deep-transfer-learning at 2969ed6: LMMD_loss; in the second case two classes have no source sample
    method, softmax_BC = new_method("dsan"), TARGET_BC.softmax(dim=1)
    assert is_close(method.local_mmd(SOURCE_BD, TARGET_BD, LABELS, softmax_BC), 1.4731196)
    two = torch.tensor([0, 0, 1, 1] * 3)
    assert is_close(method.local_mmd(SOURCE_BD, TARGET_BD, two, softmax_BC), 0.9754642)


def test_third_moments_of_homm():
    # emadeldeen24/AdaTime at 2d9be6b: HoMM_loss, and HoMM3_loss of chenchao666/HoMM-Master at 78ff9be
    assert is_close(new_method("homm").moment_distance(SOURCE_BD, TARGET_BD), 0.0837809)


def test_margin_disparity_of_mdd():
    # thuml/Transfer-Learning-Library at c4aa59e: ClassificationMarginDisparityDiscrepancy(4), which adds 1e-6 in a logarithm
    adversary, label = torch.cat([2 * wave(12, CLASSES, 5), 2 * wave(12, CLASSES, 6)]), torch.cat([SOURCE_BC, TARGET_BC])
    assert is_close(new_method("mdd").disparity(adversary, label.argmax(dim=1), 12), 10.3323174)


def test_spectral_penalty_of_bsp():
    # thuml/Transfer-Learning-Library at c4aa59e: BatchSpectralPenalizationLoss
    assert is_close(new_method("bsp").spectral_penalty(SOURCE_BD, TARGET_BD), 54.5691452)


def test_discrepancy_of_daln():
    # xiaoachen98/DALN at e40ca55: NuclearWassersteinDiscrepancy.n_discrepancy
    assert is_close(new_method("daln").discrepancy(SOURCE_BC, TARGET_BC), -0.0742915)


def test_positive_features_of_toalign():
    # microsoft/UDA at c7071be: BaseModel._get_toalign_weight, times the features
    method = new_method("toalign")
    method.net.head.weight.data = HEAD_CD
    first = [0.9536549, 1.4406722, 0.9422704, 0.6279247, 0.3939813, 0.2851728, 1.6237479, -0.0020106]
    positive = method.positive_features(SOURCE_BD, LABELS)
    assert is_close(positive[0], first)
    assert torch.allclose(positive.norm(dim=1), SOURCE_BD.norm(dim=1))


def test_domain_loss_of_toalign():
    # microsoft/UDA at c7071be: d_align_uda without entropies, for a discriminator of fixed outputs
    assert is_close(domain_loss(wave(24, 1, 13)[:, 0], 12), 0.7941310)


def test_entropy_conditioning_of_cdan():
    # tim-learn/ATDOC at b025a81: CDAN() with entropies, weights as in thuml/CDAN: of sum 1 in each domain. 1e-5 in a logarithm
    method = new_method("cdan", entropy=True)
    method.net.backbone, method.net.head = Identity(), Fixed(torch.cat([SOURCE_BC, TARGET_BC]))
    method.discriminator = Fixed(wave(24, 1, 13)[:, 0])
    loss = method.loss(Step(Labelled(SOURCE_BD, LABELS), TARGET_BD, progress=0.5)) - F.cross_entropy(SOURCE_BC, LABELS)
    assert float(loss) == pytest.approx(0.7967631, abs=2e-5)


def test_neighbour_votes_and_memory_of_atdoc():
    # KevinMusgrave/pytorch-adapt at 1366df7: NeighborhoodAggregation; the weighted loss is that of tim-learn/ATDOC at b025a81
    method, index = new_method("atdoc", weight=1.0), torch.arange(3, 15)
    method.net.backbone, method.net.head = Identity(), Fixed(TARGET_BC)
    method.features_ND, method.softmax_NC = F.normalize(wave(20, 8, 8)), (2 * wave(20, CLASSES, 9)).softmax(dim=1)
    method.next_features_ND, method.next_softmax_NC = method.features_ND.clone(), method.softmax_NC.clone()
    step = Step(Labelled(SOURCE_BD, LABELS), TARGET_BD, indices={"target": index}, progress=1.0)
    assert is_close(method.loss(step) - F.cross_entropy(TARGET_BC, LABELS), 2.5308099)
    before = method.features_ND.clone()
    method.publish(1.0)
    assert is_close(method.softmax_NC[5], [0.1973122, 0.1335662, 0.0062842, 0.000228])
    feature = [0.3102025, 0.4274886, 0.2994018, -0.2315285, -0.3573871, 0.4860258, -0.4526465, 0.0945815]
    assert is_close(method.features_ND[5], feature)
    assert torch.equal(method.features_ND[15:], before[15:]) and not torch.equal(method.features_ND[3:15], before[3:15])


def test_entropy_loss_of_mme():
    # VisionLearningGroup/SSDA_MME at ee04ddd: adentropy, which adds 1e-5 in a logarithm
    method = new_method("mme")
    method.net.backbone, method.net.head.weight.data = Identity(), HEAD_CD
    source, few = Labelled(SOURCE_BD, LABELS), Labelled(SOURCE_BD[:4], LABELS[:4])
    assert float(method.adapt(Step(source, TARGET_BD, few)).detach()) == pytest.approx(-0.0026584, abs=1e-5)


def test_smoothness_of_vada(monkeypatch):
    # KevinMusgrave/pytorch-adapt at 1366df7: VATLoss with one power iteration, noise of length 0.01 and radius 0.5
    method = new_method("vada", radius=0.5 / 8**0.5)
    method.net = nn.Sequential(nn.Linear(8, 6, bias=False), nn.Tanh(), nn.Linear(6, CLASSES, bias=False))
    method.net[0].weight.data, method.net[2].weight.data = wave(6, 8, 10), 2 * wave(CLASSES, 6, 11)
    monkeypatch.setattr(torch, "randn_like", lambda x: wave(12, 8, 12))
    logits = method.net(TARGET_BD)
    assert is_close((method.smoothness(TARGET_BD, logits) - entropy(logits)).mean(), 0.3683362)


def test_displaced_gradient_of_sdat():
    # val-iisc/SDAT at 33d7429: SAM.first_step with rho 0.05, then the loss and the gradient of the first unit
    method = new_method("sdat", radius=0.05)
    first, last = nn.Linear(8, 6), nn.Linear(6, CLASSES)
    first.weight.data, last.weight.data = wave(6, 8, 10), 2 * wave(CLASSES, 6, 11)
    first.bias.data.zero_(), last.bias.data.zero_()
    method.net.backbone, method.net.head = Backbone([nn.Sequential(first, nn.Tanh())], 6), last
    method.discriminator = Fixed(torch.zeros(24))  # the domain loss is then log 2, and pulls at nothing
    loss = method.loss(Step(Labelled(SOURCE_BD, LABELS), TARGET_BD, progress=0.5))
    gradient = [0.0878645, -0.1322642, -0.4367416, 0.0933599, 0.3390086, 0.1991465, 0.1628975, -0.2371004]
    assert is_close(loss - torch.tensor(2.0).log(), 2.9134216)
    assert is_close(torch.autograd.grad(loss, first.weight)[0][0], gradient)


def test_transport_loss_of_deep_jdot():
    # scikit-adaptation/skada at 46bc3db: deepjdot_loss with weights 0.3 and 0.7, its value and first gradients
    method = new_method("deep_jdot", alpha=0.3, label_weight=0.7, iterations=4000)
    features, logits = SOURCE_BD.clone().requires_grad_(), TARGET_BC.clone().requires_grad_()
    cost = method.cost(features, TARGET_BD, LABELS, logits)
    loss = cost[linear_sum_assignment(cost.detach().numpy())].mean()  # the plan of least cost
    of_features, of_logits = torch.autograd.grad(loss, (features, logits))
    assert is_close(loss, 3.0207567)
    first = [-0.0111238, 0.0116996, 0.0706176, 0.029756, -0.0301047, 0.0508507, 0.0357938, -0.0430216]
    assert is_close(of_features[0], first) and is_close(of_logits[0], [-0.056282, 0.0014165, 0.0022099, 0.0526555])
    # PythonOT/POT 0.9.7: sinkhorn_log with the same entropy
    assert float((method.plan(cost) * cost).sum().detach()) == pytest.approx(3.0238313, rel=2e-5)
    method.iterations = 50
    plan = method.plan(cost.detach())
    assert float((plan * cost).sum().detach()) == pytest.approx(3.0207567, rel=5e-3)
    assert torch.allclose(plan.sum(dim=0), torch.full((12,), 1 / 12)) and float((plan.sum(dim=1) - 1 / 12).abs().max()) < 5e-3


def test_style_of_fda():
    # YanchaoYang/FDA at b9a0cdf: FDA_source_to_target_np with L = 0.13, a band of one frequency for images of 8 x 10
    source, target = wave(6, 80, 14).view(2, 3, 8, 10), 1.5 * wave(6, 80, 15).view(2, 3, 8, 10) + 1
    styled = new_method("fda", band=1).restyle(source, target)
    first = [1.7571681, 1.7400762, 1.010513, -0.1864174, 1.7171264, -0.0953736, 1.6717948, 1.4933241, 0.7915448, 0.770916]
    last = [-0.6542579, -1.8512271, -0.4353877, -0.9798247, -2.1862514, -2.1603264, -2.1424677, -2.1161368, -0.8499704]
    assert is_close(styled[0, 0, 0], first) and is_close(styled[1, 2, 7, :9], last)


def test_guessed_labels_of_mixmatch():
    # YU1ut/MixMatch-pytorch at cc7ef42: the sharpened mean of two views at temperature 0.5
    guess = new_method("mixmatch").guess(torch.cat([SOURCE_BC, TARGET_BC]))
    assert is_close(guess[0], [0.1115107, 0.0274316, 0.0037588, 0.8572989])


@pytest.mark.parametrize(("samples", "columns", "scale"), [(32, 10, 1.0), (10, 32, 5.0), (7, 7, 0.1), (64, 40, 3.0)])
def test_singular_values_agree_with_a_decomposition(samples, columns, scale):
    """Values and gradients of the products are those of LAPACK's singular values."""
    x = (scale * wave(samples, columns, 20)).softmax(dim=1).requires_grad_()
    u, values, v = torch.linalg.svd(x.detach().double(), full_matrices=False)
    nuclear, spectral = nuclear_norm(x), squared_spectral_norm(x)
    assert float(nuclear.detach()) == pytest.approx(float(values.sum()), rel=1e-5)
    assert float(spectral.detach()) == pytest.approx(float(values[0] ** 2), rel=1e-5)
    torch.testing.assert_close(torch.autograd.grad(nuclear, x)[0].double(), u @ v, atol=1e-3, rtol=0)
    expected = 2 * values[0] * torch.outer(u[:, 0], v[0])
    torch.testing.assert_close(torch.autograd.grad(spectral, x)[0].double(), expected, atol=1e-4, rtol=0)
