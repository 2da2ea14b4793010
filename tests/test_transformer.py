from dataclasses import replace

import pytest
import torch
from torch import nn

from largemodels.attention import MultiHeadAttention
from largemodels.blocks import Block
from largemodels.masks import padding_mask
from largemodels.positions import sinusoidal_encoding
from largemodels.stacks import Stack
from largemodels.transformer import Transformer, TransformerConfig

TINY = TransformerConfig(
    source_vocab_size=17,
    target_vocab_size=23,
    max_length=12,
    d_model=16,
    num_heads=4,
    num_encoder_layers=3,
    num_decoder_layers=2,
    d_ff=24,
    dropout=0.0,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return module


# ---------------------------------------------------------------------------------- against torch.nn.Transformer


def attention_pairs(ours: MultiHeadAttention, theirs: nn.MultiheadAttention):
    """Pairs (our parameter, how to find the same numbers in one of theirs, their parameter)."""
    for i, part in enumerate((ours.query, ours.key, ours.value)):
        yield part.weight, lambda tensor, i=i: tensor.chunk(3)[i], theirs.in_proj_weight
        yield part.bias, lambda tensor, i=i: tensor.chunk(3)[i], theirs.in_proj_bias
    yield from same(ours.output, theirs.out_proj)


def same(ours: nn.Module, theirs: nn.Module):
    yield ours.weight, lambda tensor: tensor, theirs.weight
    yield ours.bias, lambda tensor: tensor, theirs.bias


def block_pairs(ours: Block, theirs: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
    yield from attention_pairs(ours.attention, theirs.self_attn)
    yield from same(ours.attention_norm, theirs.norm1)
    if ours.cross_attention is not None:
        yield from attention_pairs(ours.cross_attention, theirs.multihead_attn)
        yield from same(ours.cross_attention_norm, theirs.norm2)
    yield from same(ours.feed_forward.up, theirs.linear1)
    yield from same(ours.feed_forward.down, theirs.linear2)
    yield from same(ours.feed_forward_norm, theirs.norm2 if ours.cross_attention is None else theirs.norm3)


def stack_pairs(ours: Stack, theirs: nn.TransformerEncoder | nn.TransformerDecoder):
    for our_block, their_layer in zip(ours.blocks, theirs.layers, strict=True):
        yield from block_pairs(our_block, their_layer)
    if ours.norm is not None:
        yield from same(ours.norm, theirs.norm)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-11)])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_outputs_and_gradients_are_those_of_torchs_transformer(norm_first, padded, dtype, tolerance):
    config = replace(TINY, norm_first=norm_first)
    model = randomise(Transformer(config)).to(dtype)
    theirs = nn.Transformer(
        config.d_model,
        config.num_heads,
        config.num_encoder_layers,
        config.num_decoder_layers,
        config.d_ff,
        dropout=0.0,
        norm_first=norm_first,
        batch_first=True,
        dtype=dtype,
    )
    if not norm_first:
        theirs.encoder.norm = theirs.decoder.norm = None  # the paper ends with the last block; torch adds a norm
    pairs = [*stack_pairs(model.encoder, theirs.encoder), *stack_pairs(model.decoder, theirs.decoder)]
    with torch.no_grad():
        for our, part, their in pairs:
            part(their).copy_(our)
    assert len(pairs) == len([*model.encoder.parameters(), *model.decoder.parameters()])

    source, target = torch.randint(17, (3, 9)), torch.randint(23, (3, 7))
    lengths = torch.tensor([9, 5, 1]) if padded else torch.tensor([9, 9, 9])
    mask = padding_mask(lengths, 9)
    logits = model(source, target, mask)

    scale, table = config.d_model**0.5, sinusoidal_encoding(12, config.d_model).to(dtype)
    x = model.source_embedding.weight.detach()[source] * scale + table[:9]
    y = model.target_embedding.weight.detach()[target] * scale + table[:7]
    hidden = theirs(
        x,
        y,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(7, dtype=dtype),
        src_key_padding_mask=~mask[:, 0, 0],
        memory_key_padding_mask=~mask[:, 0, 0],
    )
    expected = hidden @ model.head.weight.detach().T
    assert relative_error(logits, expected) < tolerance

    probe = torch.randn_like(logits)
    (logits * probe).sum().backward()
    (expected * probe).sum().backward()
    for our, part, their in pairs:
        assert relative_error(our.grad, part(their.grad)) < tolerance


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, in units of the largest number (of 1, where all should be 0, as a key's bias gradient)."""
    largest = expected.abs().max().item()
    return (found - expected).abs().max().item() / (largest if largest > 1e-3 else 1)


# ---------------------------------------------------------------------------------------------------- the model itself


def test_target_positions_see_no_later_target_and_no_padding():
    model = randomise(Transformer(TINY))
    embedded = []
    for embedding in (model.source_embedding, model.target_embedding):
        embedding.register_forward_hook(lambda module, inputs, output: embedded.append(output) or output.retain_grad())
    logits = model(torch.randint(17, (1, 6)), torch.randint(23, (1, 5)), padding_mask([4], 6))
    logits[0, 2].sum().backward()
    source, target = (x.grad[0].abs().sum(-1) > 0 for x in embedded)
    assert source.tolist() == [True] * 4 + [False] * 2
    assert target.tolist() == [True] * 3 + [False] * 2


def test_steps_give_the_logits_of_the_whole():
    for norm_first in (True, False):
        model = randomise(Transformer(replace(TINY, norm_first=norm_first))).eval()
        source, target = torch.randint(17, (2, 6)), torch.randint(23, (2, 12))
        mask = padding_mask([6, 3], 6)
        with torch.no_grad():
            expected = model(source, target, mask)
            state = model.start(12, source, mask)
            first = model.step(target[:, :5], state)
            rest = [model.step(token, state) for token in target[:, 5:].split(1, dim=1)]
        torch.testing.assert_close(torch.stack([first, *rest], dim=1), expected[:, 4:], rtol=1e-5, atol=1e-5)


def test_return_weights():
    model = randomise(Transformer(TINY))
    source, target, mask = torch.randint(17, (2, 6)), torch.randint(23, (2, 5)), padding_mask([6, 3], 6)
    logits, weights = model(source, target, mask, return_weights=True)
    torch.testing.assert_close(logits, model(source, target, mask), rtol=1e-5, atol=1e-5)
    assert [w.shape for w in weights.encoder] == [(2, 4, 6, 6)] * 3
    assert [w.shape for w in weights.decoder] == [(2, 4, 5, 5)] * 2
    assert [w.shape for w in weights.cross] == [(2, 4, 5, 6)] * 2
    for w in (*weights.encoder, *weights.cross):
        assert (w[1, :, :, 3:] == 0).all()
        torch.testing.assert_close(w.sum(-1), torch.ones(w.shape[:-1]))


def test_parameters_of_the_papers_base_model():
    """Table 3 says 65 million, with one shared vocabulary of about 37,000 (section 5.1)."""
    with torch.device("meta"):
        base = Transformer(TransformerConfig(37000, 37000, shared_embedding=True))
        big = Transformer(TransformerConfig(37000, 37000, shared_embedding=True, d_model=1024, d_ff=4096, num_heads=16))
    layers = 6 * (4 * 512 * 513 + 2 * 512 * 2048 + 2048 + 512 + 2 * 2 * 512)
    layers += 6 * (8 * 512 * 513 + 2 * 512 * 2048 + 2048 + 512 + 3 * 2 * 512)
    assert sum(p.numel() for p in base.parameters()) == layers + 37000 * 512
    assert sum(p.numel() for p in base.parameters()) == pytest.approx(65e6, rel=0.035)
    assert sum(p.numel() for p in big.parameters()) == pytest.approx(213e6, rel=0.01)


def test_embeddings_are_shared_as_configured():
    shared = Transformer(replace(TINY, target_vocab_size=17, shared_embedding=True))
    assert shared.source_embedding.weight is shared.target_embedding.weight is shared.head.weight
    apart = Transformer(replace(TINY, tied_head=False))
    assert len({id(p) for p in (apart.source_embedding.weight, apart.target_embedding.weight, apart.head.weight)}) == 3


def test_embeddings_begin_at_the_size_of_the_positions():
    torch.manual_seed(0)
    model = Transformer(replace(TINY, d_model=256, source_vocab_size=500, max_length=200))
    x = model.source_embedding.weight * 256**0.5
    assert x.std().item() == pytest.approx(1, rel=0.02)
    assert all((p == 0).all() for name, p in model.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 3}, r"3 heads do not divide d_model=16"),
        ({"num_heads": 0}, r"num_heads must be a whole number of at least 1, got 0"),
        ({"d_model": 16.0}, r"d_model must be a whole number of at least 1, got 16\.0"),
        ({"source_vocab_size": None}, r"source_vocab_size must be a whole number"),
        ({"num_decoder_layers": -1}, r"num_decoder_layers must be"),
        ({"dropout": 1.0}, r"dropout must be a probability in \[0, 1\), got 1\.0"),
        ({"norm_eps": -1e-5}, r"norm_eps must be a finite number of at least 0, got -1e-05"),
        ({"activation": "swish"}, r"'swish'.*gelu_new"),
        ({"shared_embedding": True}, r"one vocabulary, got sizes 17 and 23"),
    ],
)
def test_configurations_check_themselves(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


def test_bad_input_is_refused_clearly():
    model = Transformer(TINY)
    good = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="13 positions are needed, but this model has 12"):
        model(torch.zeros(2, 13, dtype=torch.long), good)
    with pytest.raises(ValueError, match="13 positions are needed"):
        model(good, torch.zeros(2, 13, dtype=torch.long))
    with pytest.raises(ValueError, match="the source is empty"):
        model(good[:, :0], good)
    with pytest.raises(ValueError, match="token id 17 is not in the vocabulary of 17"):
        model(good + 17, good)
    with pytest.raises(ValueError, match="does not broadcast"):
        model(good, good, padding_mask([3, 2], 4))
    with pytest.raises(TypeError, match="boolean"):
        model(good, good, torch.ones(2, 1, 1, 3))
    with pytest.raises(ValueError, match="agree in batch and heads"):
        model(good, good[:1].expand(3, -1))
