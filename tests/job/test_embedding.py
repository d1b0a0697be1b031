"""Embedding: the fast network says what the plain one says, whatever batch an image is in."""

import numpy as np
import pytest
import torch
from torch import nn

from selection_job.encoder.architecture import build_model
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import make_encoder
from selection_job.errors import UnusableData

CPU = torch.device("cpu")


@pytest.fixture
def make_lively_encoder(tiny_config):
    """An encoder whose batch norms have moved away from the identity, as training leaves them."""

    def make(name="resnet-9", size=16, **model):
        config = tiny_config(model={"name": name, **model})
        network = build_model(config.model, seed=4)
        generator = torch.Generator().manual_seed(4)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                n = part.num_features
                part.running_mean.copy_(torch.randn(n, generator=generator) / 2)
                part.running_var.copy_(torch.rand(n, generator=generator) + 0.5)
                part.weight.data.copy_(torch.rand(n, generator=generator) + 0.5)
                part.bias.data.copy_(torch.randn(n, generator=generator) / 2)
        return make_encoder(network, input_size_px=size, source="test")

    return make


def draw_pixels(n, size=16):
    return np.random.default_rng(1).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def embed(encoder, pixels, **options):
    return np.concatenate(list(embed_pixels(encoder, [pixels], device=CPU, **options)))


def embed_plainly(encoder, pixels):
    """As lightly embeds: scale to [0, 1], normalise by ImageNet's mean and deviation, then the backbone."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = (torch.from_numpy(pixels) / 255 - mean) / std
    return encoder.model.backbone(images.permute(0, 3, 1, 2)).flatten(1).numpy()


@pytest.mark.parametrize("name", ["resnet-9", "resnet-18", "resnet-34", "resnet-50", "resnet-101", "resnet-152"])
def test_the_fused_network_equals_the_plain_one(make_lively_encoder, name):
    encoder = make_lively_encoder(name)
    pixels = draw_pixels(3)
    expected = embed_plainly(encoder, pixels)
    np.testing.assert_allclose(embed(encoder, pixels), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [1, 2, 7, 33])
def test_any_input_size_embeds(make_lively_encoder, size):
    encoder = make_lively_encoder(size=size)
    pixels = draw_pixels(2, size)
    expected = embed_plainly(encoder, pixels)
    np.testing.assert_allclose(embed(encoder, pixels), expected, atol=1e-5 * np.abs(expected).max())


def test_a_row_does_not_depend_on_its_batch(make_lively_encoder):
    encoder, pixels = make_lively_encoder("resnet-18"), draw_pixels(37)
    whole = embed(encoder, pixels)
    alone = np.concatenate(list(embed_pixels(encoder, (pixels[i : i + 1] for i in range(37)), device=CPU)))
    assert whole.shape == (37, encoder.dimensions) and whole.dtype == np.float32
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_two_passes_give_the_same_bits(make_lively_encoder):
    encoder, pixels = make_lively_encoder("resnet-18"), draw_pixels(20)
    assert (embed(encoder, pixels) == embed(encoder, pixels)).all()


def test_precision_16_points_the_same_way(make_lively_encoder, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"bf16": True})  # where it has none, PyTorch emulates it
    encoder, pixels = make_lively_encoder("resnet-18", num_ftrs=32), draw_pixels(20)
    full, half = embed(encoder, pixels), embed(encoder, pixels, precision=16)
    cosines = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosines.min() > 0.999
    assert half.dtype == np.float32 and (full != half).any()


def test_precision_16_without_bfloat16_is_precision_32(make_lively_encoder, monkeypatch):
    encoder, pixels = make_lively_encoder(), draw_pixels(4)
    full = embed(encoder, pixels)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True})
    assert (embed(encoder, pixels, precision=16) == full).all()


def test_embedding_leaves_the_encoder_as_it_was(make_lively_encoder):
    encoder = make_lively_encoder()
    before = {key: value.clone() for key, value in encoder.model.state_dict().items()}
    embed(encoder, draw_pixels(4), precision=16)
    assert all(torch.equal(before[key], value) for key, value in encoder.model.state_dict().items())
    assert not encoder.model.training


def test_no_batches_make_no_embeddings(make_lively_encoder):
    assert list(embed_pixels(make_lively_encoder(), [], device=CPU)) == []


def test_settings_of_the_process_are_as_before_between_batches(make_lively_encoder):
    for _ in embed_pixels(make_lively_encoder(), [draw_pixels(1)] * 2, device=CPU):
        assert not torch.is_inference_mode_enabled()
        assert not torch.are_deterministic_algorithms_enabled()


def test_embeddings_that_are_not_finite_are_refused(make_lively_encoder):
    encoder = make_lively_encoder()
    encoder.model.backbone[7].weight.fill_(3e38)
    with pytest.raises(UnusableData, match="not finite numbers"):
        embed(encoder, draw_pixels(1))


def test_num_ftrs_is_the_dimension_of_an_embedding(make_lively_encoder):
    encoder = make_lively_encoder(num_ftrs=24)
    assert embed(encoder, draw_pixels(1)).shape == (1, encoder.dimensions) == (1, 24)
