import random
from dataclasses import replace

import pytest
import torch
import transformers
from parity import copy_weights, gradient_error, num_parameters, randomise, relative_error, same
from torch.nn import functional as F

from largemodels.attention import MultiHeadAttention
from largemodels.bert import BERT, BERTConfig, SequenceClassifier, TokenClassifier
from largemodels.blocks import FeedForward, LayerNorm
from largemodels.masks import padding_mask

TINY = BERTConfig(
    vocab_size=29, max_length=16, d_model=12, num_layers=3, num_heads=3, dropout=0.0, attention_dropout=0.0
)
ALBERT = replace(TINY, d_embedding=7, share="all")
ROBERTA = replace(TINY, num_segments=1, pad=1, sentence_pairs=False)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def on_meta(config: BERTConfig) -> BERT:
    with torch.device("meta"):
        return BERT(config)


# --------------------------------------------------------------------------------------------------- sizes and counts

# The lecture's table: millions of parameters, the precision they are given to, blocks, width, width of the embeddings.
LECTURE = {
    "base": (110, 10, 12, 768, 768),
    "large": (340, 10, 24, 1024, 1024),
    "albert_base": (12, 1, 12, 768, 128),
    "albert_large": (18, 1, 24, 1024, 128),
    "albert_xlarge": (60, 10, 24, 2048, 128),
}


@pytest.mark.parametrize("preset", LECTURE)
def test_the_lectures_table(preset):
    millions, precision, layers, width, embedding = LECTURE[preset]
    model = on_meta(getattr(BERTConfig, preset)())
    assert round(num_parameters(model) / 1e6 / precision) * precision == millions
    assert len(model.encoder.stack.blocks) == layers
    assert model.config.d_model == width
    assert model.encoder.embedding.token.embedding_dim == embedding


def test_albert_xxlarge_has_223_million_parameters():
    """The lecture has 235 million, from Lan et al. 2019, table 1; the model card of albert-xxlarge-v2 has these."""
    model = on_meta(BERTConfig.albert_xxlarge())
    assert round(num_parameters(model) / 1e6) == 223


@pytest.mark.parametrize(("preset", "millions"), [("roberta_base", 125), ("roberta_large", 355)])
def test_roberta_sizes(preset, millions):
    """The counts that the authors publish with their code, github.com/facebookresearch/fairseq, examples/roberta."""
    model = on_meta(getattr(BERTConfig, preset)())
    assert round(num_parameters(model) / 1e6) == millions
    assert model.encoder.embedding.position.num_embeddings == 514


@pytest.mark.parametrize("preset", [*LECTURE, "albert_xxlarge", "roberta_base", "roberta_large"])
def test_counts_are_those_of_transformers(preset):
    config = getattr(BERTConfig, preset)()
    sizes = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": 4 * config.d_model,
    }
    with torch.device("meta"):
        if preset.startswith("albert"):
            theirs = transformers.AlbertForPreTraining(transformers.AlbertConfig(**sizes))
        elif preset.startswith("roberta"):
            sizes |= {"max_position_embeddings": 514, "type_vocab_size": 1}
            theirs = transformers.RobertaForMaskedLM(transformers.RobertaConfig(**sizes))
        else:
            theirs = transformers.BertForPreTraining(transformers.BertConfig(**sizes))
    assert num_parameters(on_meta(config)) == num_parameters(theirs)


# Lan et al. 2019, table 4: millions of parameters of ALBERT-base by width of the embeddings and by what is shared.
# They count the embeddings and the blocks; our counts differ by less than one million, as their rounding does.
ALBERT_TABLE_4 = {
    (None, "all"): 31,
    (None, "attention"): 83,
    (None, "feed_forward"): 57,
    (None, "none"): 108,
    (128, "all"): 12,
    (128, "attention"): 64,
    (128, "feed_forward"): 38,
    (128, "none"): 89,
}


@pytest.mark.parametrize(("d_embedding", "share"), ALBERT_TABLE_4)
def test_what_sharing_saves(d_embedding, share):
    model = on_meta(BERTConfig.albert_base(d_embedding=d_embedding, share=share))
    assert abs(num_parameters(model.encoder) / 1e6 - ALBERT_TABLE_4[d_embedding, share]) < 1
    attentions = {m for m in model.modules() if isinstance(m, MultiHeadAttention)}
    feed_forwards = {m for m in model.modules() if isinstance(m, FeedForward)}
    norms = {m for m in model.encoder.stack.modules() if isinstance(m, LayerNorm)}
    assert len(attentions) == (1 if share in ("all", "attention") else 12)
    assert len(feed_forwards) == (1 if share in ("all", "feed_forward") else 12)
    assert len(norms) == (2 if share == "all" else 24)


def test_presets_take_changes():
    assert BERTConfig.large(dropout=0.0) == replace(BERTConfig.large(), dropout=0.0)
    assert BERTConfig.albert_xlarge(num_heads=32).num_heads == 32
    assert BERTConfig.roberta_large(pad=None).pad is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 5}, "5 heads do not divide d_model=12"),
        ({"num_segments": 0}, "num_segments must be a whole number of at least 1, got 0"),
        ({"d_embedding": 0}, "d_embedding must be"),
        ({"dropout": 1.5}, "dropout must be a probability"),
        ({"activation": "tanh"}, "'tanh'"),
        ({"share": "everything"}, "none, attention, feed_forward, all, got 'everything'"),
        ({"num_groups": 2}, "share is 'none'"),
        ({"share": "all", "num_groups": 4}, "3 blocks cannot be 4 groups"),
        ({"share": "all", "blocks_per_group": 2}, "3 blocks cannot be 1 groups of 2"),
        ({"pad": 29}, "pad=29 is not in the vocabulary of 29"),
    ],
)
def test_configurations_check_themselves(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


# ------------------------------------------------------------------------------------------------------------- parity


def embedding_pairs(ours, theirs):
    yield from same(ours.token, theirs.word_embeddings)
    yield from same(ours.segment, theirs.token_type_embeddings)
    yield from same(ours.position, theirs.position_embeddings)
    yield from same(ours.norm, theirs.LayerNorm)


def bert_block_pairs(ours, theirs):
    for name in ("query", "key", "value"):
        yield from same(getattr(ours.attention, name), getattr(theirs.attention.self, name))
    yield from same(ours.attention.output, theirs.attention.output.dense)
    yield from same(ours.attention_norm, theirs.attention.output.LayerNorm)
    yield from same(ours.feed_forward.up, theirs.intermediate.dense)
    yield from same(ours.feed_forward.down, theirs.output.dense)
    yield from same(ours.feed_forward_norm, theirs.output.LayerNorm)


def albert_block_pairs(ours, theirs):
    for name in ("query", "key", "value"):
        yield from same(getattr(ours.attention, name), getattr(theirs.attention, name))
    yield from same(ours.attention.output, theirs.attention.dense)
    yield from same(ours.attention_norm, theirs.attention.LayerNorm)
    yield from same(ours.feed_forward.up, theirs.ffn)
    yield from same(ours.feed_forward.down, theirs.ffn_output)
    yield from same(ours.feed_forward_norm, theirs.full_layer_layer_norm)


def encoder_pairs(encoder, theirs):
    """`theirs` is what transformers calls the base model."""
    yield from embedding_pairs(encoder.embedding, theirs.embeddings)
    if theirs.config.model_type == "albert":
        yield from same(encoder.embedding.projection, theirs.encoder.embedding_hidden_mapping_in)
        groups = theirs.encoder.albert_layer_groups
        blocks = list(dict.fromkeys(encoder.stack.blocks))  # each once
        layers = [layer for group in groups for layer in group.albert_layers]
        for block, layer in zip(blocks, layers, strict=True):
            yield from albert_block_pairs(block, layer)
    else:
        for block, layer in zip(encoder.stack.blocks, theirs.encoder.layer, strict=True):
            yield from bert_block_pairs(block, layer)


def model_pairs(model: BERT, theirs):
    kind = theirs.config.model_type
    base = getattr(theirs, kind)
    yield from encoder_pairs(model.encoder, base)
    if kind == "bert":
        yield from same(model.pair_head.pooler, base.pooler.dense)
        yield from same(model.pair_head.output, theirs.cls.seq_relationship)
        dense, norm = theirs.cls.predictions.transform.dense, theirs.cls.predictions.transform.LayerNorm
        decoder = theirs.cls.predictions.decoder
    elif kind == "albert":
        yield from same(model.pair_head.pooler, base.pooler)
        yield from same(model.pair_head.output, theirs.sop_classifier.classifier)
        dense, norm, decoder = theirs.predictions.dense, theirs.predictions.LayerNorm, theirs.predictions.decoder
    else:
        dense, norm, decoder = theirs.lm_head.dense, theirs.lm_head.layer_norm, theirs.lm_head.decoder
    yield from same(model.head.transform, dense)
    yield from same(model.head.norm, norm)
    yield from same(model.head.output, decoder)


PRE_TRAINING = {
    "bert": (transformers.BertForPreTraining, transformers.BertConfig),
    "albert": (transformers.AlbertForPreTraining, transformers.AlbertConfig),
    "roberta": (transformers.RobertaForMaskedLM, transformers.RobertaConfig),
}


def random_configs(kind: str, seed: int):
    """The same random, odd sizes and choices for us and for them."""
    draw = random.Random(f"{kind} {seed}")
    heads = draw.randint(2, 4)  # a norm of one or two numbers leaves only their signs
    config = BERTConfig(
        vocab_size=draw.randint(11, 50),
        max_length=draw.randint(9, 17),
        num_segments=1 if kind == "roberta" else draw.choice([1, 2, 3]),
        d_model=heads * draw.choice([3, 5, 7]),
        num_layers=draw.randint(1, 4),
        num_heads=heads,
        d_ff=draw.randint(5, 40),
        activation="gelu" if kind == "roberta" else draw.choice(["gelu", "gelu_new", "relu", "silu"]),
        norm_eps=draw.choice([1e-12, 1e-5, 1e-2]),
        pad=draw.randint(0, 3) if kind == "roberta" else None,
        sentence_pairs=kind != "roberta",
        tied_head=draw.random() < 0.7,
        dropout=0.0,
        attention_dropout=0.0,
    )
    options = {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_length + (config.pad + 1 if kind == "roberta" else 0),
        "type_vocab_size": config.num_segments,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.d_ff,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_eps,
        "pad_token_id": config.pad or 0,
        "tie_word_embeddings": config.tied_head,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    if kind == "albert":
        cycles, turns = draw.randint(1, 6), draw.randint(1, 2)
        groups, width = draw.randint(1, cycles), draw.choice([3, 8, config.d_model])
        config = replace(
            config,
            d_embedding=width,
            share="all",
            num_layers=cycles * turns,
            num_groups=groups,
            blocks_per_group=turns,
        )
        options |= {"embedding_size": width, "num_hidden_layers": cycles, "classifier_dropout_prob": 0.0}
        options |= {"num_hidden_groups": groups, "inner_group_num": turns}
    return config, options


def random_texts(config: BERTConfig, padded: bool):
    """Tokens, segments, mask; the padding is the token `pad` (0), which stands nowhere else."""
    pad, length = config.pad or 0, config.max_length
    tokens = torch.randint(config.vocab_size - 1, (3, length))
    tokens += tokens >= pad
    segments = torch.randint(config.num_segments, (3, length))
    lengths = [length, length // 2, 1] if padded else [length] * 3
    mask = padding_mask(lengths, length)
    return tokens.masked_fill(~mask[:, 0, 0], pad), segments, mask


def their_inputs(tokens, segments, mask):
    return {"input_ids": tokens, "token_type_ids": segments, "attention_mask": mask[:, 0, 0].long()}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-4), (torch.float64, 1e-11)])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", PRE_TRAINING)
def test_logits_and_gradients_are_those_of_transformers(kind, seed, padded, dtype, tolerance):
    config, options = random_configs(kind, seed)
    model_class, config_class = PRE_TRAINING[kind]
    theirs = randomise(model_class(config_class(**options)), seed).eval().to(dtype)
    model = BERT(config).to(dtype)
    pairs = copy_weights(model, model_pairs(model, theirs))
    tokens, segments, mask = random_texts(config, padded)
    is_token = mask[:, 0, 0]

    found = model(tokens, segments, mask if padded else None)[is_token]
    expected = theirs(**their_inputs(tokens, segments, mask))
    expected_logits = (expected.logits if kind == "roberta" else expected.prediction_logits)[is_token]
    assert relative_error(found, expected_logits) < tolerance

    labels = torch.randint(config.vocab_size, found.shape[:1])
    loss, expected_loss = F.cross_entropy(found, labels), F.cross_entropy(expected_logits, labels)
    if kind != "roberta":
        pair = model.pair_head(model.encoder(tokens, segments, mask))
        expected_pair = expected.seq_relationship_logits if kind == "bert" else expected.sop_logits
        assert relative_error(pair, expected_pair) < tolerance
        loss = loss + F.cross_entropy(pair, torch.tensor([0, 1, 0]))
        expected_loss = expected_loss + F.cross_entropy(expected_pair, torch.tensor([0, 1, 0]))
    loss.backward()
    expected_loss.backward()
    assert gradient_error(pairs) < tolerance


CLASSIFIERS = {
    "bert": (transformers.BertForSequenceClassification, transformers.BertForTokenClassification),
    "albert": (transformers.AlbertForSequenceClassification, transformers.AlbertForTokenClassification),
    "roberta": (transformers.RobertaForSequenceClassification, transformers.RobertaForTokenClassification),
}


def classifier_pairs(model, theirs):
    kind = theirs.config.model_type
    base = getattr(theirs, kind)
    yield from encoder_pairs(model.encoder, base)
    if isinstance(model, TokenClassifier):
        yield from same(model.head, theirs.classifier)
    elif kind == "roberta":
        yield from same(model.head.pooler, theirs.classifier.dense)
        yield from same(model.head.output, theirs.classifier.out_proj)
    else:
        yield from same(model.head.pooler, base.pooler.dense if kind == "bert" else base.pooler)
        yield from same(model.head.output, theirs.classifier)


@pytest.mark.parametrize("of_tokens", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_are_those_of_transformers(kind, seed, of_tokens):
    config, options = random_configs(kind, seed)
    theirs = CLASSIFIERS[kind][of_tokens](PRE_TRAINING[kind][1](**options, num_labels=5))
    theirs = randomise(theirs, seed).eval().double()
    model = (TokenClassifier if of_tokens else SequenceClassifier)(BERT(config), 5).eval().double()
    pairs = copy_weights(model, classifier_pairs(model, theirs))
    tokens, segments, mask = random_texts(config, padded=True)
    found, expected = model(tokens, segments, mask), theirs(**their_inputs(tokens, segments, mask)).logits
    if of_tokens:
        found, expected = found[mask[:, 0, 0]], expected[mask[:, 0, 0]]
    assert relative_error(found, expected) < 1e-11
    labels = torch.randint(5, found.shape[:1])
    for logits in (found, expected):
        F.cross_entropy(logits, labels).backward()
    assert gradient_error(pairs) < 1e-11


@pytest.mark.parametrize("share", ["attention", "feed_forward", "all"])
@pytest.mark.parametrize(("num_groups", "blocks_per_group"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_sharing_is_one_parameter_in_several_places(share, num_groups, blocks_per_group):
    """Equal to a model whose blocks have copies, with the sum of the copies' gradients."""
    sharing = replace(TINY, num_layers=8, share=share, num_groups=num_groups, blocks_per_group=blocks_per_group)
    model = randomise(BERT(sharing)).double()
    copies = BERT(replace(TINY, num_layers=8)).double()
    copies.load_state_dict(model.state_dict())
    tokens = torch.randint(29, (2, 9))
    logits, expected = model(tokens), copies(tokens)
    torch.testing.assert_close(logits, expected)
    (logits * logits.detach().cos()).sum().backward()
    (expected * logits.detach().cos()).sum().backward()

    places = {}  # of each parameter, all the names it goes by
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(parameter, []).append(name)
    copied = dict(copies.named_parameters(remove_duplicate=False))
    shared = {tuple(int(name.split(".")[3]) for name in names) for names in places.values() if "stack" in names[0]}
    expected_places = {
        (1, 1): {(0, 1, 2, 3, 4, 5, 6, 7)},
        (2, 1): {(0, 1, 2, 3), (4, 5, 6, 7)},
        (1, 2): {(0, 2, 4, 6), (1, 3, 5, 7)},
        (2, 2): {(0, 2), (1, 3), (4, 6), (5, 7)},
    }[num_groups, blocks_per_group]
    own = set() if share == "all" else {(layer,) for layer in range(8)}
    assert shared == expected_places | own
    for parameter, names in places.items():
        if parameter.grad is not None:
            expected_gradient = sum(g for g in {copied[name]: copied[name].grad for name in names}.values())
            torch.testing.assert_close(parameter.grad, expected_gradient)


# ------------------------------------------------------------------------------------------------- the model itself


@pytest.mark.parametrize("config", [TINY, ALBERT, ROBERTA])
def test_padding_changes_nothing(config):
    model = randomise(BERT(config)).eval()
    tokens = torch.randint(2, 29, (1, 9))
    padded = torch.cat([tokens, torch.ones(1, 5, dtype=torch.long)], dim=1)
    logits = model(padded, mask=padding_mask([9], 14))
    torch.testing.assert_close(logits[:, :9], model(tokens), rtol=1e-4, atol=1e-4)


def test_roberta_counts_from_the_first_token_wherever_the_padding_is():
    model = randomise(BERT(ROBERTA)).eval()
    tokens = torch.randint(2, 29, (1, 9))
    padded = torch.cat([torch.ones(1, 5, dtype=torch.long), tokens], dim=1)
    logits = model(padded, mask=padding_mask([9], 14).flip(-1))
    torch.testing.assert_close(logits[:, 5:], model(tokens), rtol=1e-4, atol=1e-4)


def test_all_positions_are_seen_from_everywhere():
    model = randomise(BERT(TINY))
    embedded = []
    model.encoder.embedding.register_forward_hook(
        lambda module, inputs, output: embedded.append(output) or output.retain_grad()
    )
    model(torch.randint(29, (1, 6)))[0, 2].sum().backward()
    assert (embedded[0].grad[0].abs().sum(-1) > 0).all()


def test_segments_are_0_if_left_out():
    model = randomise(BERT(TINY)).eval()
    tokens = torch.randint(29, (2, 6))
    zeros = torch.zeros_like(tokens)
    torch.testing.assert_close(model(tokens), model(tokens, zeros))
    assert not torch.allclose(model(tokens), model(tokens, zeros + 1))


def test_logits_of_some_tokens_only():
    model = randomise(BERT(TINY)).eval()
    tokens, hidden = torch.randint(29, (2, 6)), torch.rand(2, 6) < 0.4
    torch.testing.assert_close(model.head(model.encoder(tokens)[hidden]), model(tokens)[hidden])


def test_return_weights():
    model = randomise(BERT(TINY))
    tokens, mask = torch.randint(29, (2, 8)), padding_mask([8, 5], 8)
    logits, weights = model(tokens, mask=mask, return_weights=True)
    torch.testing.assert_close(logits, model(tokens, mask=mask), rtol=1e-5, atol=1e-5)
    assert [w.shape for w in weights] == [(2, 3, 8, 8)] * 3
    assert all((w[1, :, :, 5:] == 0).all() for w in weights)


def test_classifiers_go_on_from_the_pretrained_model():
    bert = BERT(TINY)
    classifier, tagger = SequenceClassifier(bert, 4), TokenClassifier(bert, 4)
    assert classifier.encoder is tagger.encoder is bert.encoder
    assert classifier.head.pooler is bert.pair_head.pooler
    assert {*bert.head.parameters()} & {*classifier.parameters()} == {bert.head.output.weight}  # the embeddings
    assert SequenceClassifier(BERT(ROBERTA), 4)(torch.zeros(2, 3, dtype=torch.long)).shape == (2, 4)


def test_dropout_only_in_training():
    config = replace(ALBERT, dropout=0.5, attention_dropout=0.5)
    tokens = torch.randint(29, (2, 6))
    bert = randomise(BERT(config))
    for model in (bert, SequenceClassifier(bert, 3), TokenClassifier(bert, 3)):
        model.train()
        assert not torch.equal(model(tokens), model(tokens))
        model.eval()
        assert torch.equal(model(tokens), model(tokens))


def test_initial_weights():
    model = BERT(BERTConfig(vocab_size=400, d_model=96, num_heads=3, num_layers=2, max_length=200, d_embedding=80))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        elif "norm" in name:
            assert (parameter == 1).all()
        elif parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05), name


def test_heads_are_tied_as_configured():
    for config in (TINY, ALBERT):
        tied, apart = BERT(config), BERT(replace(config, tied_head=False))
        assert tied.head.output.weight is tied.encoder.embedding.token.weight
        assert apart.head.output.weight is not apart.encoder.embedding.token.weight


def test_bad_input_is_refused_clearly():
    model, roberta = BERT(TINY), BERT(ROBERTA)
    good = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="17 positions are needed, but this model has 16"):
        model(torch.zeros(1, 17, dtype=torch.long))
    with pytest.raises(ValueError, match="17 positions are needed, but this model has 16"):
        roberta(torch.full((1, 17), 5))
    with pytest.raises(ValueError, match="token id 29 is not in the vocabulary of 29"):
        model(good + 29)
    with pytest.raises(ValueError, match=r"0 … 1 in this model, got 1 … 2"):
        model(good, torch.tensor([[1, 1, 1], [1, 1, 2]]))
    with pytest.raises(ValueError, match=r"0 … 0 in this model, got 0 … 1; RoBERTa has no segments"):
        roberta(good, torch.tensor([[0, 0, 1], [0, 1, 1]]))
    with pytest.raises(ValueError, match=r"segments \(3,\) for tokens \(2, 3\)"):
        model(good, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"\(batch, length\)"):
        model(good[0])
    with pytest.raises(ValueError, match="does not broadcast"):
        model(good, mask=padding_mask([3, 2], 4))
