import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch
import transformers
from torch import nn
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from largemodels import generation
from largemodels.generation import beam_search, greedy, next_token_probabilities, sample
from largemodels.gpt import GPT, GPTConfig
from largemodels.masks import padding_mask
from largemodels.transformer import Transformer, TransformerConfig

BOS, EOS = 1, 2
GPT_TINY = GPTConfig(vocab_size=11, max_length=24, d_model=12, num_layers=2, num_heads=3, tied_head=False)
TRANSFORMER_TINY = TransformerConfig(
    source_vocab_size=13,
    target_vocab_size=13,
    max_length=24,
    d_model=12,
    num_heads=3,
    num_encoder_layers=2,
    num_decoder_layers=2,
    d_ff=20,
    shared_embedding=True,
    tied_head=False,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def lively(model: nn.Module) -> nn.Module:
    """Weights with which the next token really depends on all that was read; in evaluation mode."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(
                    std=1.0 if "embedding" in name or "positions" in name else 2 * parameter.shape[1] ** -0.5
                )
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
            else:  # the weight of a norm
                parameter.normal_(1.0, 0.1)
    return model.eval()


def gpt(**changes) -> GPT:
    return lively(GPT(replace(GPT_TINY, **changes)))


def transformer(**changes) -> Transformer:
    return lively(Transformer(replace(TRANSFORMER_TINY, **changes)))


# ----------------------------------------------------------------------------------- cached = recomputed every time


def greedy_without_cache(logits_of, prompt, max_new_tokens):
    tokens = prompt
    for _ in range(max_new_tokens):
        tokens = torch.cat([tokens, logits_of(tokens)[:, -1].argmax(-1, keepdim=True)], dim=1)
    return tokens[:, prompt.shape[1] :]


@pytest.mark.parametrize(
    "changes", [{}, {"norm_first": False}, {"bands": (None, 3)}, {"positions": "rope", "d_model": 24}]
)
def test_greedy_gpt_is_the_argmax_of_the_whole(changes):
    model, prompt = gpt(**changes), torch.randint(11, (20, 6))
    tokens = greedy(model, prompt, max_new_tokens=16)
    assert torch.equal(tokens, greedy_without_cache(model, prompt, 16))
    assert len(tokens.unique()) > 3  # the test says nothing if all tokens are the same


@pytest.mark.parametrize("norm_first", [True, False])
def test_greedy_transformer_is_the_argmax_of_the_whole(norm_first):
    model = transformer(norm_first=norm_first)
    source, mask = torch.randint(13, (20, 7)), padding_mask([7, 5, 1, 6] * 5, 7)
    tokens = greedy(model, BOS, source=source, mask=mask, max_new_tokens=20)
    prompt = torch.full((20, 1), BOS)
    assert torch.equal(tokens, greedy_without_cache(lambda target: model(source, target, mask), prompt, 20))
    assert len(tokens.unique()) > 3


def test_shorter_prompts_give_what_they_give_alone():
    model = gpt(bands=(None, 4))
    lengths = [7, 3, 5]
    prompts = [torch.randint(11, (1, n)) for n in lengths]
    batch = torch.cat([nn.functional.pad(prompt, (7 - prompt.shape[1], 0)) for prompt in prompts])
    mask = padding_mask(lengths, 7).flip(-1)
    together = greedy(model, batch, mask=mask, max_new_tokens=12)
    alone = [greedy(model, prompt, max_new_tokens=12) for prompt in prompts]
    assert torch.equal(together, torch.cat(alone))
    beams = beam_search(model, batch, mask=mask, max_new_tokens=12, eos=EOS, beams=3)
    for i, prompt in enumerate(prompts):
        found = beam_search(model, prompt, max_new_tokens=12, eos=EOS, beams=3)
        torch.testing.assert_close(beams.scores[i : i + 1], found.scores, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------------------------------- ending and housekeeping


def test_texts_end_with_eos_and_the_batch_when_all_have_ended():
    model, prompt = gpt(), torch.randint(11, (6, 3))
    free = greedy(model, prompt, max_new_tokens=20)
    eos = free[0, 4].item()
    tokens = greedy(model, prompt, max_new_tokens=20, eos=eos)
    ends = []
    for text, unlimited in zip(tokens, free, strict=True):
        places = (unlimited == eos).nonzero()
        end = places[0].item() + 1 if len(places) else 20
        assert torch.equal(text[:end], unlimited[:end])
        assert (text[end:] == eos).all()
        ends.append(end)
    assert min(ends) < max(ends) == tokens.shape[1]
    assert greedy(model, prompt[:1], max_new_tokens=20, eos=eos).shape == (1, ends[0])


@pytest.mark.parametrize("generate", [greedy, sample, beam_search])
def test_the_model_is_left_as_it_was_found(generate):
    model = gpt(dropout=0.5).train()
    model.stack.blocks[1].eval()
    before = [module.training for module in model.modules()]
    grad_enabled = []
    model.head.register_forward_hook(lambda *_: grad_enabled.append(torch.is_grad_enabled()))
    prompt = torch.randint(11, (2, 3))
    options = {"generator": torch.Generator().manual_seed(0)} if generate is sample else {}
    first = generate(model, prompt, max_new_tokens=5, **options)
    if options:
        options["generator"].manual_seed(0)
    second = generate(model, prompt, max_new_tokens=5, **options)
    for one, two in zip(first[:2], second[:2], strict=True):
        assert torch.equal(one, two)  # no dropout
    assert [module.training for module in model.modules()] == before
    assert not any(grad_enabled)
    with pytest.raises(ValueError, match="positions are needed"):
        generate(model, prompt, max_new_tokens=50)
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled()


def test_only_the_last_position_gets_logits():
    model = gpt()
    shapes = []
    model.head.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    greedy(model, torch.randint(11, (2, 5)), max_new_tokens=3)
    assert shapes == [(2, 11)] * 3


def test_generated_tokens_can_be_trained_on():
    model, prompt = gpt(), torch.randint(11, (2, 5))
    found = beam_search(model, prompt, max_new_tokens=3, beams=2)
    for tokens in (greedy(model, prompt, max_new_tokens=3), sample(model, prompt, max_new_tokens=3), found.tokens[0]):
        model.zero_grad()
        model.train()(tokens).sum().backward()
        assert model.embedding.weight.grad is not None
    scale = torch.ones(1, requires_grad=True)
    (scale * found.scores.sum() + scale * found.steps[0].log_probability.sum()).backward()


@pytest.mark.parametrize("family", [partial(gpt, vocab_size=13), transformer])
def test_while_text_is_written_weights_lie_as_one_row_reads_them_fastest_and_then_as_they_did(family, monkeypatch):
    model = family(max_length=40)
    own = dict(model.named_parameters())
    source = {"source": torch.randint(3, 10, (2, 3))} if hasattr(model, "encode") else {}
    prompt = torch.randint(3, 10, (2, 2))
    seen = []
    step = model.step

    def looking(tokens, state):
        seen.append({name for name, weight in model.named_parameters() if weight is not own[name]})
        assert all(model.get_parameter(name).T.is_contiguous() for name in seen[-1])
        return step(tokens, state)

    monkeypatch.setattr(model, "step", looking, raising=False)
    expected = greedy(model, prompt, max_new_tokens=32, **source)
    assert seen == [set()] * 32  # so small a model stays in the processor's cache
    monkeypatch.setattr(generation, "SMALLEST_COPY", 1)
    seen.clear()
    assert torch.equal(greedy(model, prompt, max_new_tokens=4, **source), expected[:, :4])
    assert seen == [set()] * 4  # not worth a copy
    seen.clear()
    assert torch.equal(greedy(model, prompt, max_new_tokens=32, **source), expected)
    widening = {
        f"{name}.weight"
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features >= layer.in_features and not name.startswith("encoder.")
    }
    assert "head.weight" in widening
    assert seen == [widening] * 32

    def interrupted(tokens, state):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        greedy(model, prompt, max_new_tokens=32, **source)
    assert all(weight is own[name] and weight.is_contiguous() for name, weight in model.named_parameters())


# ------------------------------------------------------------------------------------------------------------ sampling


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [None, 1, 4, 100])
@pytest.mark.parametrize("top_p", [None, 0.05, 0.5, 0.9, 1.0])
def test_probabilities_are_those_of_transformers(temperature, top_k, top_p):
    logits = torch.randn(50, 20) * 3
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None and top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    found = next_token_probabilities(logits, temperature, top_k, top_p)
    torch.testing.assert_close(found, expected.softmax(-1))


def test_the_token_that_crosses_top_p_is_kept():
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    assert next_token_probabilities(logits, top_p=0.4).tolist() == [1, 0, 0, 0]
    torch.testing.assert_close(next_token_probabilities(logits, top_p=0.6), torch.tensor([2 / 3, 1 / 3, 0, 0]))


def test_temperature_zero_is_greedy():
    model, prompt = gpt(), torch.randint(11, (4, 6))
    assert torch.equal(
        sample(model, prompt, max_new_tokens=12, temperature=0), greedy(model, prompt, max_new_tokens=12)
    )
    assert torch.equal(sample(model, prompt, max_new_tokens=12, top_k=1), greedy(model, prompt, max_new_tokens=12))


@pytest.mark.parametrize("temperature", [1e-20, 1e-38, 1e-42, 1e-60])
def test_the_lowest_temperatures_are_greedy(temperature):
    logits = torch.tensor([[1.0, 5.0, -torch.inf, 4.0], [-3.0, -2.0, -900.0, -2.5]])
    assert next_token_probabilities(logits, temperature).tolist() == [[0, 1, 0, 0], [0, 1, 0, 0]]


def test_the_smallest_top_p_leaves_the_most_probable():
    assert next_token_probabilities(torch.tensor([1.0, 5.0, 4.0]), top_p=1e-60).tolist() == [0, 1, 0]


@pytest.mark.parametrize("generate", [greedy, sample, beam_search])
def test_a_model_that_computes_nan_writes_nothing(generate):
    model = gpt()
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="a finite logit, got nan"):
        generate(model, torch.ones(2, 1, dtype=torch.long), max_new_tokens=3)


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("logits", [[-torch.inf] * 3, [1.0, torch.nan, 2.0], [1.0, torch.inf, 2.0]], ids=str)
def test_logits_without_probabilities_are_refused(temperature, logits):
    with pytest.raises(ValueError, match=r"a finite logit, got (-inf|nan|inf): the model computes no probabilities"):
        next_token_probabilities(torch.tensor([[0.0, 1.0, 2.0], logits]), temperature)


def test_samples_follow_the_probabilities_and_the_generator():
    model = gpt()
    prompt = torch.randint(11, (1, 4)).expand(20_000, -1)
    options = {"temperature": 0.8, "top_p": 0.95}
    with torch.no_grad():
        expected = next_token_probabilities(model(prompt[:1])[0, -1], **options)
    drawn = sample(model, prompt, max_new_tokens=1, generator=torch.Generator().manual_seed(1), **options)
    again = sample(model, prompt, max_new_tokens=1, generator=torch.Generator().manual_seed(1), **options)
    other = sample(model, prompt, max_new_tokens=1, generator=torch.Generator().manual_seed(2), **options)
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other)
    counts = drawn.flatten().bincount(minlength=11)
    kept = expected > 0
    assert (counts[~kept] == 0).all()
    chi_square = ((counts - 20_000 * expected).square() / (20_000 * expected))[kept].sum().item()
    assert 1 < kept.sum() <= 11
    assert chi_square < 35  # with at most 10 degrees of freedom, more in fewer than 1 of 7,000 draws


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must not be negative, got -0.1; 0 always"),
        ({"temperature": torch.inf}, "temperature must be a finite number, got inf"),
        ({"temperature": torch.nan}, "temperature must be a finite number, got nan"),
        ({"top_k": 0}, "top_k must leave at least 1 token"),
        ({"top_p": 0.0}, r"top_p must be a probability in \(0, 1\], got 0\.0"),
        ({"top_p": 1.1}, r"top_p must be a probability in \(0, 1\], got 1\.1"),
    ],
)
def test_bad_sampling_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sample(gpt(), torch.ones(1, 1, dtype=torch.long), max_new_tokens=3, **options)


# --------------------------------------------------------------------------------------------------------- beam search


def all_texts(log_probabilities_of, vocab_size, limit, length_penalty):
    """Every text that ends with EOS or at the limit, with its score: brute force."""
    scored = {}
    for length in range(1, limit + 1):
        texts = torch.tensor(list(itertools.product(range(vocab_size), repeat=length)))
        log_probability = log_probabilities_of(texts)
        for text, score in zip(texts.tolist(), log_probability.tolist(), strict=True):
            ends = text[-1] == EOS or length == limit
            if ends and EOS not in text[:-1]:
                scored[tuple(text)] = score / length**length_penalty
    return scored


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("length_penalty", [-0.5, 0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("family", ["gpt", "transformer"])
def test_wide_beams_find_exactly_what_enumeration_finds(family, length_penalty, patient):
    if family == "gpt":
        model, inputs = gpt(vocab_size=4), {"prompt": torch.tensor([[3, 0]])}
        logits_of = model
        prompt = inputs["prompt"]
    else:
        model = transformer(source_vocab_size=4, target_vocab_size=4)
        inputs = {"prompt": BOS, "source": torch.tensor([[3, 0, 1, 0]])}
        logits_of = lambda target: model(inputs["source"].expand(len(target), -1), target)  # noqa: E731
        prompt = torch.tensor([[BOS]])

    def log_probabilities_of(texts):
        tokens = torch.cat([prompt.expand(len(texts), -1), texts], dim=1)
        with torch.no_grad():
            steps = logits_of(tokens).log_softmax(-1)[:, prompt.shape[1] - 1 : -1]
        return steps.gather(2, texts.unsqueeze(-1)).squeeze(-1).sum(-1)

    expected = all_texts(log_probabilities_of, 4, 4, length_penalty)
    assert len(expected) == 1 + 3 + 9 + 27 * 4
    # 121 texts end in all: so many beams lose none, and the list of the best is the list of all.
    found = beam_search(
        model, **inputs, max_new_tokens=4, eos=EOS, beams=125, length_penalty=length_penalty, patient=patient
    )
    best = sorted(expected.items(), key=lambda item: -item[1])
    torch.testing.assert_close(found.scores[0, :121], torch.tensor([score for _, score in best]), rtol=1e-4, atol=1e-5)
    assert (found.scores[0, 121:] == -torch.inf).all()
    assert (found.tokens[0, 121:] == EOS).all()
    for text, score in zip(found.tokens[0, :121].tolist(), found.scores[0].tolist(), strict=False):
        end = text.index(EOS) + 1 if EOS in text else 4
        assert all(token == EOS for token in text[end:])
        assert expected[tuple(text[:end])] == pytest.approx(score, rel=1e-4, abs=1e-5)


def test_one_beam_is_greedy():
    model, prompt = gpt(), torch.randint(11, (5, 6))
    for eos in (None, EOS):
        expected = greedy(model, prompt, max_new_tokens=12, eos=eos)
        assert torch.equal(beam_search(model, prompt, max_new_tokens=12, eos=eos, beams=1).tokens[:, 0], expected)


def test_scores_are_the_log_probabilities_of_the_texts_and_the_steps_are_their_tree():
    model, prompt = gpt(), torch.randint(11, (3, 6))
    found = beam_search(model, prompt, max_new_tokens=8, beams=4, length_penalty=1.0)
    assert found.tokens.shape == (3, 4, 8)
    assert (found.scores.diff(dim=1) <= 0).all()
    with torch.no_grad():
        whole = torch.cat([prompt.repeat_interleave(4, 0), found.tokens.flatten(0, 1)], dim=1)
        steps = model(whole).log_softmax(-1)[:, 5:-1].gather(2, whole[:, 6:, None]).squeeze(-1)
    torch.testing.assert_close(found.scores.flatten(), steps.mean(-1), rtol=1e-4, atol=1e-4)

    best, text = torch.zeros(3, 1, dtype=torch.long), []  # the best candidate of the last step is the best text
    for step in reversed(found.steps):
        text.append(step.token.gather(1, best))
        beam = step.parent.gather(1, best)
        best = found.steps[len(found.steps) - len(text) - 1].kept.gather(1, beam)
    assert torch.equal(torch.cat(text[::-1], dim=1), found.tokens[:, 0])


# ------------------------------------------------------------------------------------------- against transformers


def their_gpt2(model: GPT) -> transformers.GPT2LMHeadModel:
    config = model.config
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_length,
            n_embd=config.d_model,
            n_layer=config.num_layers,
            n_head=config.num_heads,
            bos_token_id=BOS,
            eos_token_id=EOS,
            pad_token_id=EOS,
            tie_word_embeddings=False,
        )
    )
    state = {"transformer.wte.weight": model.embedding.weight, "transformer.wpe.weight": model.positions.weight}
    for i, block in enumerate(model.stack.blocks):
        attention, feed_forward = block.attention, block.feed_forward
        qkv = (attention.query, attention.key, attention.value)
        state |= {
            f"transformer.h.{i}.{name}": tensor
            for name, tensor in {
                "attn.c_attn.weight": torch.cat([part.weight.T for part in qkv], dim=1),
                "attn.c_attn.bias": torch.cat([part.bias for part in qkv]),
                "attn.c_proj.weight": attention.output.weight.T,
                "attn.c_proj.bias": attention.output.bias,
                "mlp.c_fc.weight": feed_forward.up.weight.T,
                "mlp.c_fc.bias": feed_forward.up.bias,
                "mlp.c_proj.weight": feed_forward.down.weight.T,
                "mlp.c_proj.bias": feed_forward.down.bias,
                "ln_1.weight": block.attention_norm.weight,
                "ln_1.bias": block.attention_norm.bias,
                "ln_2.weight": block.feed_forward_norm.weight,
                "ln_2.bias": block.feed_forward_norm.bias,
            }.items()
        }
    state |= {"transformer.ln_f.weight": model.stack.norm.weight, "transformer.ln_f.bias": model.stack.norm.bias}
    theirs.load_state_dict(state | {"lm_head.weight": model.head.weight})
    return theirs.eval()


def their_marian(model: Transformer) -> transformers.MarianMTModel:
    """Marian is the Transformer of 2017, but for the order of its sines and cosines, which it takes from ours here."""
    config = model.config
    theirs = transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=config.source_vocab_size,
            max_position_embeddings=config.max_length,
            d_model=config.d_model,
            encoder_layers=config.num_encoder_layers,
            decoder_layers=config.num_decoder_layers,
            encoder_attention_heads=config.num_heads,
            decoder_attention_heads=config.num_heads,
            encoder_ffn_dim=config.d_ff,
            decoder_ffn_dim=config.d_ff,
            activation_function=config.activation,
            scale_embedding=True,
            bos_token_id=BOS,
            eos_token_id=EOS,
            pad_token_id=EOS,
            decoder_start_token_id=BOS,
            forced_eos_token_id=None,
            tie_word_embeddings=False,
        )
    ).eval()
    embeddings = (theirs.model.shared, theirs.model.encoder.embed_tokens, theirs.model.decoder.embed_tokens)
    pairs = [(theirs.lm_head, model.head), *((embedding, model.source_embedding) for embedding in embeddings)]
    for side, stack in ((theirs.model.encoder, model.encoder), (theirs.model.decoder, model.decoder)):
        for layer, block in zip(side.layers, stack.blocks, strict=True):
            pairs += attention_pairs(layer.self_attn, block.attention)
            pairs.append((layer.self_attn_layer_norm, block.attention_norm))
            if block.cross_attention is not None:
                pairs += attention_pairs(layer.encoder_attn, block.cross_attention)
                pairs.append((layer.encoder_attn_layer_norm, block.cross_attention_norm))
            pairs += [(layer.fc1, block.feed_forward.up), (layer.fc2, block.feed_forward.down)]
            pairs.append((layer.final_layer_norm, block.feed_forward_norm))
    for their, our in pairs:
        their.load_state_dict(our.state_dict())
    with torch.no_grad():
        for side in (theirs.model.encoder, theirs.model.decoder):
            side.embed_positions.weight.copy_(model.encoding)
    return theirs


def attention_pairs(theirs, ours):
    yield from ((theirs.q_proj, ours.query), (theirs.k_proj, ours.key))
    yield from ((theirs.v_proj, ours.value), (theirs.out_proj, ours.output))


MARIAN_LENGTHS = [7, 4, 1, 6]


@pytest.fixture
def gpt2_pair():
    model = gpt()
    prompt, mask = torch.randint(11, (4, 6)), padding_mask([6, 2, 5, 6], 6).flip(-1)
    return their_gpt2(model), {"input_ids": prompt, "attention_mask": mask[:, 0, 0].long()}, model, (prompt, None, mask)


@pytest.fixture
def marian_pair():
    model = transformer()
    source, mask = torch.randint(13, (4, 7)), padding_mask(MARIAN_LENGTHS, 7)
    inputs = {"input_ids": source, "attention_mask": mask[:, 0, 0].long()}
    theirs = their_marian(model)
    target = torch.randint(13, (4, 5))
    logits = theirs(**inputs, decoder_input_ids=target).logits
    torch.testing.assert_close(model(source, target, mask), logits, rtol=1e-4, atol=1e-4)
    return theirs, inputs, model, (BOS, source, mask)


def new_tokens(sequences: torch.Tensor, prompt: torch.Tensor | int) -> torch.Tensor:
    return sequences[:, 1 if isinstance(prompt, int) else prompt.shape[1] :]


@pytest.mark.parametrize("pair", ["gpt2_pair", "marian_pair"])
def test_greedy_tokens_are_those_of_transformers(pair, request):
    theirs, inputs, model, (prompt, source, mask) = request.getfixturevalue(pair)
    expected = new_tokens(theirs.generate(**inputs, max_new_tokens=15, do_sample=False), prompt)
    found = greedy(model, prompt, source=source, mask=mask, max_new_tokens=15, eos=EOS)
    assert torch.equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("beams", [2, 4, 5])
@pytest.mark.parametrize("pair", ["gpt2_pair", "marian_pair"])
def test_beams_and_scores_are_those_of_transformers(pair, beams, length_penalty, patient, request):
    theirs, inputs, model, (prompt, source, mask) = request.getfixturevalue(pair)
    expected = theirs.generate(
        **inputs,
        max_new_tokens=15,
        num_beams=beams,
        num_return_sequences=beams,
        length_penalty=length_penalty,
        early_stopping="never" if patient else False,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = beam_search(
        model,
        prompt,
        source=source,
        mask=mask,
        max_new_tokens=15,
        eos=EOS,
        beams=beams,
        length_penalty=length_penalty,
        patient=patient,
    )
    assert torch.equal(found.tokens.flatten(0, 1), new_tokens(expected.sequences, prompt))
    torch.testing.assert_close(found.scores.flatten(), expected.sequences_scores, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("generate", [greedy, sample, beam_search])
def test_bad_input_is_refused_clearly(generate):
    model, prompt = gpt(), torch.randint(11, (2, 5))
    translator, source = transformer(), torch.randint(13, (2, 5))
    with pytest.raises(ValueError, match="at least one token"):
        generate(model, prompt[:, :0], max_new_tokens=3)
    with pytest.raises(ValueError, match=r"\(batch, length\).*got \(5,\)"):
        generate(model, prompt[0], max_new_tokens=3)
    with pytest.raises(ValueError, match="25 positions are needed, but this model has 24"):
        generate(model, torch.ones(1, 25, dtype=torch.long), max_new_tokens=1)
    with pytest.raises(ValueError, match="25 positions are needed"):
        generate(model, prompt, max_new_tokens=21)
    generate(model, prompt, max_new_tokens=20)  # the last token needs no position: nothing is read after it
    with pytest.raises(ValueError, match="max_new_tokens must be a whole number of at least 1, got 0"):
        generate(model, prompt, max_new_tokens=0)
    with pytest.raises(ValueError, match="padded before their first token"):
        generate(model, prompt, mask=padding_mask([5, 3], 5), max_new_tokens=3)
    with pytest.raises(ValueError, match="no encoder"):
        generate(model, prompt, source=source, max_new_tokens=3)
    with pytest.raises(ValueError, match="give it a source"):
        generate(translator, prompt, max_new_tokens=3)
    with pytest.raises(ValueError, match="got the number 1"):
        generate(model, BOS, max_new_tokens=3)
    with pytest.raises(ValueError, match="2 sources and 1 prompts"):
        generate(translator, prompt[:1], source=source, max_new_tokens=3)
    with pytest.raises(ValueError, match="token id 13 is not in the vocabulary of 13"):
        generate(translator, BOS, source=torch.full_like(source, 13), max_new_tokens=3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prompt": [[1, 2]]}, TypeError, r"tensor of token ids \(batch, length\), got a list; use torch.tensor"),
        ({"max_new_tokens": 2.5}, ValueError, "a whole number of at least 1, got 2.5"),
        ({"eos": [1, 2]}, TypeError, r"the id of one token, got \[1, 2\]; of several give one"),
        ({"beams": 2.0}, ValueError, "a whole number of them, got beams=2.0"),
        ({"length_penalty": torch.nan}, ValueError, "length_penalty must be a finite number, got nan"),
        ({"length_penalty": torch.inf}, ValueError, "length_penalty must be a finite number, got inf"),
    ],
)
def test_arguments_of_another_kind_are_refused(changes, error, message):
    options = {"prompt": torch.ones(1, 1, dtype=torch.long), "max_new_tokens": 2}
    with pytest.raises(error, match=message):
        beam_search(gpt(), **options | changes)


def test_a_search_without_beams_is_refused():
    with pytest.raises(ValueError, match="at least one beam, a whole number of them, got beams=0"):
        beam_search(gpt(), torch.ones(1, 1, dtype=torch.long), max_new_tokens=3, beams=0)


def test_a_state_of_another_batch_size_is_refused():
    model = gpt()
    with torch.no_grad():
        state = model.start(8)
        model.step(torch.ones(2, 3, dtype=torch.long), state)
        with pytest.raises(ValueError, match="new batch"):
            model.step(torch.ones(3, 1, dtype=torch.long), state)
