"""Bodies without heads, classifiers, names that wrappers have changed, and weights that are none."""

import json
import pickle
import re
import warnings
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from largemodels.bert import SequenceClassifier, TokenClassifier
from largemodels.pretrained import FAMILIES, load, parity, save

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

BERTS = {"bert": "Bert", "albert": "Albert", "roberta": "Roberta"}
TOKENS = torch.tensor([[5, 9, 7, 12, 28], [6, 11, 8, 3, 3]])
MASK = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


@pytest.fixture(scope="module", params=FAMILIES)
def published(request, tmp_path_factory):
    """A folder that transformers saved, of each model type."""
    folder = tmp_path_factory.mktemp(request.param)
    parity.make(next(case for case in parity.CASES if case.model_type == request.param), folder)
    return folder


def make(model_type: str, kind: str, folder: Path, **fields) -> nn.Module:
    """A small model of transformers, with weights of order 1."""
    case = next(case for case in parity.CASES if case.model_type == model_type)
    torch.manual_seed(0)
    settings = parity.SPECIAL_TOKENS | parity.USUAL[model_type] | case.fields | fields
    theirs = getattr(transformers, BERTS[model_type] + kind)(transformers.CONFIG_MAPPING[model_type](**settings))
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4 + (parameter == 1))
    theirs.save_pretrained(folder)
    return theirs.eval()


def quietly(folder: Path, **options) -> nn.Module:
    """Loaded without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(folder, **options)


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


# ------------------------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize("model_type", BERTS)
def test_a_body_alone(model_type, tmp_path):
    theirs = make(model_type, "Model", tmp_path)
    ours = quietly(tmp_path, head=None)
    assert ours.head is None
    assert ours.pair_head is None
    expected = theirs(TOKENS, attention_mask=MASK.long())
    vectors, weights = ours(TOKENS, mask=MASK[:, None, None], return_weights=True)
    torch.testing.assert_close(vectors[MASK], expected.last_hidden_state[MASK], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours(TOKENS, mask=MASK[:, None, None]), vectors, atol=1e-5, rtol=1e-4)
    assert len(weights) == ours.config.num_layers
    pooled = torch.tanh(ours.pooler(vectors[:, 0]))
    torch.testing.assert_close(pooled, expected.pooler_output, atol=1e-5, rtol=1e-4)
    # there and back
    save(ours, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["architectures"] == [
        f"{BERTS[model_type]}Model"
    ]
    assert same_weights(ours, quietly(tmp_path / "again", head=None))
    back, found = type(theirs).from_pretrained(tmp_path / "again", output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(back.eval()(TOKENS).last_hidden_state, theirs(TOKENS).last_hidden_state)


@pytest.mark.parametrize("model_type", BERTS)
def test_the_body_of_a_whole_model(model_type, tmp_path):
    parity.make(next(case for case in parity.CASES if case.model_type == model_type), tmp_path)
    whole, body = load(tmp_path), quietly(tmp_path, head=None)
    assert torch.equal(body(TOKENS), whole.encoder(TOKENS))
    if whole.pair_head is not None:
        assert torch.equal(body.pooler.weight, whole.pair_head.pooler.weight)
    names = {name for name, _ in body.named_parameters() if not name.startswith(("encoder.", "pooler."))}
    assert names == set()
    with torch.device("meta"):
        assert type(body)(body.config).state_dict().keys() == body.state_dict().keys()


def test_a_body_without_pooler(tmp_path):
    make("bert", "ForMaskedLM", tmp_path)
    assert quietly(tmp_path, head=None).pooler is None
    assert quietly(tmp_path).pooler is None


def test_a_classifier_goes_on_from_a_body(tmp_path):
    make("bert", "Model", tmp_path)
    body = load(tmp_path, head=None)
    classifier = SequenceClassifier(body, 3)
    assert classifier.head.pooler is body.pooler
    assert classifier(TOKENS, mask=MASK[:, None, None]).shape == (2, 3)


@pytest.mark.parametrize("model_type", [name for name in FAMILIES if name not in BERTS])
@pytest.mark.parametrize("head", [None, "classifier"])
def test_other_models_have_no_body_of_their_own(model_type, head, tmp_path):
    parity.make(next(case for case in parity.CASES if case.model_type == model_type), tmp_path)
    with pytest.raises(
        ValueError, match=rf"config\.json.* {model_type} is not divided into body and head.*{head!r} out"
    ):
        load(tmp_path, head=head)


def test_a_head_that_there_is_not(tmp_path):
    make("bert", "Model", tmp_path)
    with pytest.raises(ValueError, match=r"lacks weights.*cls\.predictions.*head=None for the body alone"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"has no classifier\.weight.*head=None"):
        load(tmp_path, head="classifier")
    with pytest.raises(ValueError, match=r'head must be "pretraining", "classifier" or None, got \'lm\''):
        load(tmp_path, head="lm")


# -------------------------------------------------------------------------------------------------------- classifiers


@pytest.mark.parametrize("model_type", BERTS)
@pytest.mark.parametrize("kind", ["ForSequenceClassification", "ForTokenClassification"])
def test_classifiers(model_type, kind, tmp_path):
    theirs = make(model_type, kind, tmp_path, num_labels=4, classifier_dropout=0.3, classifier_dropout_prob=0.3)
    ours = quietly(tmp_path, head="classifier")
    assert type(ours) is (SequenceClassifier if "Sequence" in kind else TokenClassifier)
    expected = theirs(TOKENS, attention_mask=MASK.long()).logits
    found = ours(TOKENS, mask=MASK[:, None, None])
    if kind == "ForTokenClassification":
        found, expected = found[MASK], expected[MASK]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert (ours.head.dropout if "Sequence" in kind else ours.dropout) == 0.3
    # the body under it
    body = quietly(tmp_path, head=None)
    assert torch.equal(body(TOKENS), ours.encoder(TOKENS))
    with pytest.raises(ValueError, match=r'lacks weights.*head="classifier" or head=None'):
        load(tmp_path)


def test_gradients_of_a_classifier(tmp_path):
    theirs = make("bert", "ForSequenceClassification", tmp_path, num_labels=4)
    ours = load(tmp_path, head="classifier")
    labels = torch.tensor([1, 3])
    theirs(TOKENS, labels=labels).loss.backward()
    nn.functional.cross_entropy(ours(TOKENS), labels).backward()
    for found, expected in (
        (ours.head.pooler, theirs.bert.pooler.dense),
        (ours.head.output, theirs.classifier),
        (ours.encoder.embedding.token, theirs.bert.embeddings.word_embeddings),
    ):
        torch.testing.assert_close(found.weight.grad, expected.weight.grad, atol=1e-5, rtol=1e-3)


# -------------------------------------------------------------------------------------------------------- names, types


def rename(folder: Path, target: Path, change) -> Path:
    """The folder with other names of the tensors."""
    target.mkdir()
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = load_file(folder / "model.safetensors")
    save_file({change(name): tensor for name, tensor in tensors.items()}, target / "model.safetensors")
    return target


WRAPPED = {
    "DataParallel": lambda name: f"module.{name}",
    "torch.compile": lambda name: f"_orig_mod.{name}",
    "both": lambda name: f"_orig_mod.module.{name}",
    "FSDP inside": lambda name: re.sub(r"\.(\d+)\.", r".\1._fsdp_wrapped_module.", name, count=1),
    "compiled body": lambda name: re.sub(r"^(\w+)\.", r"\1._orig_mod.", name),
    "Lightning": lambda name: f"model.{name}",
    "Lightning and DataParallel": lambda name: f"module.model.{name}",
}


@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.slow
def test_names_that_a_wrapper_has_changed(wrapper, published, tmp_path):
    folder = rename(published, tmp_path / "wrapped", WRAPPED[wrapper])
    assert same_weights(quietly(folder), load(published))


@pytest.mark.slow
def test_names_as_torch_makes_them(tmp_path):
    """What DataParallel and torch.compile really do to the names of a model of transformers."""
    theirs = make("bert", "ForMaskedLM", tmp_path)
    expected = load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for wrapped in (nn.DataParallel(theirs), torch.compile(theirs)):
        torch.save(wrapped.state_dict(), tmp_path / "pytorch_model.bin")
        assert same_weights(load(tmp_path), expected)


def test_a_wrapped_body(tmp_path):
    make("bert", "Model", tmp_path / "plain")
    for number, prefix in enumerate(("module.", "module.bert.", "model.bert.", "bert.")):
        folder = rename(tmp_path / "plain", tmp_path / str(number), lambda name, prefix=prefix: prefix + name)
        assert same_weights(quietly(folder, head=None), load(tmp_path / "plain", head=None))


def test_the_model_type_as_an_argument(published):
    path = published / "config.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    expected = load(published)
    try:
        for told in ({}, {"model_type": None}, {"model_type": "somebody-elses"}):
            rest = {name: value for name, value in fields.items() if name != "model_type"}
            path.write_text(json.dumps(rest | told), encoding="utf-8")
            with pytest.raises(ValueError, match="model_type"):
                load(published)
            assert same_weights(load(published, model_type=fields["model_type"]), expected)
        with pytest.raises(ValueError, match=r"model_type = 'gpt5' is not implemented here; implemented are gpt2"):
            load(published, model_type="gpt5")
    finally:
        path.write_text(json.dumps(fields), encoding="utf-8")


# ------------------------------------------------------------------------------------------------- what are no weights


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    parity.make(next(case for case in parity.CASES if case.model_type == "gpt2"), folder)
    return folder


NO_PICKLE = {
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:ba1e\nsize 46746988\n",
    "web page": b"<!DOCTYPE html><html></html>",
    "'Entry not found'": b"Entry not found",
    "'Repository not found'": b"Repository not found",
    "'Invalid username or password.'": b"Invalid username or password.",
    "'404: Not Found'": b"404: Not Found",
    "'Access to model": b"Access to model x/y is restricted. You must be authenticated to access it.",
    "Unauthorized": b'{"error":"Unauthorized"}',
    "damaged or incomplete": b"GGUF\x03\x00\x00\x00",
}


@pytest.mark.parametrize("told", NO_PICKLE)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "pytorch_model.bin.index.json"])
def test_what_was_saved_in_place_of_the_weights(name, told, small, tmp_path):
    (tmp_path / "config.json").write_bytes((small / "config.json").read_bytes())
    (tmp_path / name).write_bytes(NO_PICKLE[told])
    with pytest.raises(ValueError, match=rf"{re.escape(name)}.*{told}") as failure:
        load(tmp_path)
    message = str(failure.value)
    assert "code" not in message
    assert "weights_only" not in message  # torch's advice to switch its protection off


def test_a_config_that_was_not_downloaded(small, tmp_path):
    for told, content in NO_PICKLE.items():
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(ValueError, match=rf"config\.json.*{told}"):
            load(tmp_path)


@pytest.mark.parametrize("content", ['{"model_type": "gpt2", "n_embd": 404, "task": "not found', '["not found", '])
def test_a_damaged_config_is_not_taken_for_a_servers_answer(content, tmp_path):
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is not JSON.*damaged or incomplete"):
        load(tmp_path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_are_still_called_by_their_name(protocol, small, tmp_path):
    (tmp_path / "config.json").write_bytes((small / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Path("x"), protocol=protocol))
    with pytest.raises(ValueError, match=r"pytorch_model\.bin.*could be code; nothing of it was executed"):
        load(tmp_path)


def test_a_config_with_a_mark_and_line_ends_of_windows(small, tmp_path):
    text = (small / "config.json").read_text(encoding="utf-8").replace("\n", "\r\n")
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "model.safetensors").write_bytes((small / "model.safetensors").read_bytes())
    assert same_weights(load(tmp_path), load(small))
