"""Reading and writing checkpoints: formats, names, features, memory, the Hub, and everything that can be wrong."""

import json
import os
import pickle
import re
import struct
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from largemodels.bart import BART, BARTConfig
from largemodels.bert import BERT, BERTConfig, SequenceClassifier
from largemodels.gpt import GPT, GPTConfig
from largemodels.pretrained import FAMILIES, load, parity, save
from largemodels.pretrained.mapping import Fields
from largemodels.t5 import T5, T5Config

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

CASES = {str(case): case for case in parity.CASES}
USUAL = [next(case for case in parity.CASES if case.model_type == model_type) for model_type in FAMILIES]


@pytest.fixture(scope="module", params=FAMILIES)
def published(request, tmp_path_factory):
    """A folder that transformers saved, of each model type."""
    folder = tmp_path_factory.mktemp(request.param)
    parity.make(next(case for case in parity.CASES if case.model_type == request.param), folder)
    return folder


@pytest.fixture(scope="module")
def gpt2_source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2_source")
    parity.make(CASES["gpt2: as published"], folder)
    return folder


@pytest.fixture
def gpt2(gpt2_source, tmp_path):
    """A folder of its own with a GPT-2, to do damage to."""
    return copy(gpt2_source, tmp_path / "gpt2")


def copy(folder: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def edit_config(folder: Path, **fields) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}), encoding="utf-8")


def edit_weights(folder: Path, change) -> dict[str, torch.Tensor]:
    tensors = load_file(folder / "model.safetensors")
    tensors = change(dict(tensors)) or tensors
    save_file(tensors, folder / "model.safetensors")
    return tensors


def assert_equal(one: nn.Module, two: nn.Module) -> None:
    first, second = one.state_dict(), two.state_dict()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name
    width = 4 * one.config.d_model  # what a d_ff that is left open means
    assert replace(one.config, d_ff=one.config.d_ff or width) == replace(two.config, d_ff=two.config.d_ff or width)


# ------------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("case", parity.CASES, ids=str)
@pytest.mark.slow
def test_round_trip_is_bit_exact(case, tmp_path):
    parity.make(case, tmp_path / "theirs")
    model = load(tmp_path / "theirs")
    save(model, tmp_path / "ours")
    before = load_file(tmp_path / "theirs" / "model.safetensors")
    after = load_file(tmp_path / "ours" / "model.safetensors")
    assert before.keys() == after.keys()
    # Without tied embeddings BERT's second bias and BART's shared table are written, but nobody reads them.
    unread = {row.otherwise for row in FAMILIES[case.model_type].rows(model.config)}
    assert [name for name in before if name not in unread and not torch.equal(before[name], after[name])] == []
    assert_equal(model, load(tmp_path / "ours"))


STUDENTS = {
    "gpt2": GPT(GPTConfig(vocab_size=19, max_length=9, d_model=12, num_layers=2, num_heads=3)),
    "gpt1": GPT(GPTConfig.gpt1(vocab_size=19, max_length=9, d_model=12, num_layers=2, num_heads=3, activation="relu")),
    "gpt2, d_ff": GPT(GPTConfig(vocab_size=19, d_model=12, num_layers=2, num_heads=3, d_ff=7, tied_head=False)),
    "gpt_neo": GPT(
        GPTConfig(
            vocab_size=19,
            d_model=12,
            num_layers=5,
            num_heads=3,
            bands=(None, 3),
            attention_scale=1.0,
            attention_bias=False,
        )
    ),
    "bert": BERT(BERTConfig(vocab_size=19, d_model=12, num_layers=2, num_heads=3)),
    "bert, no pairs": BERT(BERTConfig(vocab_size=19, d_model=12, num_layers=2, num_heads=3, sentence_pairs=False)),
    "albert": BERT(BERTConfig.albert_base(vocab_size=19, d_model=12, num_layers=4, num_heads=3, num_groups=2)),
    "roberta": BERT(BERTConfig.roberta_base(vocab_size=19, d_model=12, num_layers=2, num_heads=3)),
    "bart": BART(BARTConfig(vocab_size=19, d_model=12, num_heads=3, num_encoder_layers=2, num_decoder_layers=1)),
    "bart, own tables": BART(BARTConfig(vocab_size=19, d_model=12, num_heads=3, tied=False)),
    "t5": T5(T5Config(vocab_size=19, d_model=12, num_heads=3, d_head=5)),
    "t5 1.1": T5(T5Config.v1_1("small", vocab_size=19, d_model=12, num_heads=3, d_head=5, d_ff=7)),
}


@pytest.mark.parametrize("name", STUDENTS)
def test_a_students_model_opens_in_transformers(name, tmp_path):
    model = STUDENTS[name].eval()
    save(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    theirs, found = getattr(transformers, config["architectures"][0]).from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    tokens = torch.randint(3, 19, (2, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if hasattr(model, "decoder"):
            expected = theirs(tokens, decoder_input_ids=tokens[:, :4]).logits
            torch.testing.assert_close(model(tokens, tokens[:, :4]), expected, atol=1e-5, rtol=1e-4)
        else:
            torch.testing.assert_close(model(tokens), theirs.eval()(tokens)[0], atol=1e-5, rtol=1e-4)
    assert_equal(model, load(tmp_path))


def test_further_fields_are_written_and_files_replaced(tmp_path):
    save(STUDENTS["gpt1"], tmp_path)
    assert save(STUDENTS["gpt2"], str(tmp_path), eos_token_id=3) == tmp_path
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert (config.model_type, config.eos_token_id) == ("gpt2", 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (GPT(GPTConfig(vocab_size=9, d_model=12, num_heads=3, num_layers=1, positions="rope")), "positions = 'rope'"),
        (GPT(GPTConfig(vocab_size=9, d_model=12, num_heads=3, num_layers=2, bands=(None, 4))), "attention_bias = True"),
        (BERT(BERTConfig(vocab_size=9, d_model=12, num_heads=3, num_layers=2, share="attention")), "share ="),
        (BART(BARTConfig(vocab_size=9, d_model=12, num_heads=3, norm_eps=1e-3)), "norm_eps = 0.001"),
    ],
    ids=["rope", "bands with bias", "sharing", "eps"],
)
def test_what_no_model_type_can_express_is_named(model, told, tmp_path):
    with pytest.raises(ValueError, match=f"no model type can express.*{re.escape(told)}"):
        save(model, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_only_models_of_this_library_are_saved(tmp_path):
    with pytest.raises(TypeError, match=r"BART, BERT, GPT, T5 can be saved.*got Linear"):
        save(nn.Linear(2, 2), tmp_path)


# -------------------------------------------------------------------------------------------------------------- formats


@pytest.mark.slow
def test_all_formats_give_the_same_model(published, tmp_path):
    whole = load(published)
    tensors = load_file(published / "model.safetensors")
    for name in ("sharded", "bin", "old bin", "sharded bin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_bytes((published / "config.json").read_bytes())
    torch.save(tensors, tmp_path / "bin" / "pytorch_model.bin")
    torch.save(tensors, tmp_path / "old bin" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    names = sorted(tensors)
    shards = {"00001": names[::2], "00002": names[1::2]}
    for folder, kind, suffix in (("sharded", "model", "safetensors"), ("sharded bin", "pytorch_model", "bin")):
        files = {part: f"{kind}-{part}-of-00002.{suffix}" for part in shards}
        for part, members in shards.items():
            content = {name: tensors[name] for name in members}
            path = tmp_path / folder / files[part]
            save_file(content, path) if suffix == "safetensors" else torch.save(content, path)
        index = {"metadata": {}, "weight_map": {name: files[part] for part in shards for name in shards[part]}}
        (tmp_path / folder / f"{kind}.{suffix}.index.json").write_text(json.dumps(index), encoding="utf-8")
    for name in ("sharded", "bin", "old bin", "sharded bin"):
        assert_equal(whole, load(tmp_path / name))


def test_shards_as_transformers_writes_them(tmp_path):
    theirs = parity.make(CASES["t5: version 1.0"], tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="4KB")
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 2
    assert_equal(load(tmp_path / "whole"), load(tmp_path / "sharded"))


def test_safetensors_come_before_bin(gpt2):
    (gpt2 / "pytorch_model.bin").write_bytes(b"not looked at")
    load(gpt2)


def test_a_bare_body_without_prefix_or_head(gpt2, tmp_path):
    whole = load(gpt2)
    transformers.GPT2Model.from_pretrained(gpt2).save_pretrained(tmp_path / "bare")
    assert "wte.weight" in load_file(tmp_path / "bare" / "model.safetensors")
    assert_equal(whole, load(tmp_path / "bare"))


def test_a_bare_bart_with_its_own_prefix(tmp_path):
    parity.make(CASES["bart: as published"], tmp_path / "whole")
    transformers.BartModel.from_pretrained(tmp_path / "whole").save_pretrained(tmp_path / "bare")
    whole, bare = load(tmp_path / "whole"), load(tmp_path / "bare")
    assert whole.head.logits_bias.abs().max() > 0
    whole.head.logits_bias.zero_()  # the one thing that belongs to the head alone
    assert_equal(whole, bare)


@pytest.mark.parametrize("model_type", ["bert", "albert", "roberta"])
def test_a_bare_encoder_lacks_its_head(model_type, tmp_path):
    parity.make(CASES[f"{model_type}: as published"], tmp_path / "whole")
    kind = {"bert": "BertModel", "albert": "AlbertModel", "roberta": "RobertaModel"}[model_type]
    getattr(transformers, kind).from_pretrained(tmp_path / "whole").save_pretrained(tmp_path / "bare")
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    head = {name for name in whole if name.startswith(("cls.pred", "predictions", "lm_head"))}
    with pytest.raises(ValueError, match="lacks weights") as failure:
        load(tmp_path / "bare")
    assert set(re.findall(r"[\w.]+\.(?:weight|bias)", str(failure.value))) == head
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = load(tmp_path / "bare", strict=False)
    messages = [str(warning.message) for warning in told]
    assert "lacks weights" in messages[0]
    assert all(name in messages[0] for name in head)
    assert len(messages) == 1
    pooler = [model.pooler.weight, model.pooler.bias]  # is kept for a classifier to go on from
    theirs = [tensor for name, tensor in sorted(whole.items(), reverse=True) if "pooler" in name]
    if theirs:  # RoBERTa's was made with the body
        assert all(map(torch.equal, pooler, theirs))
    assert SequenceClassifier(model, 3).head.pooler is model.pooler
    expected = load(tmp_path / "whole").encoder.state_dict()
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert model.head.transform.weight.std() > 0
    tokens = torch.randint(3, 29, (1, 5))
    assert model(tokens).isfinite().all()


def test_names_of_the_first_years(tmp_path):
    """gamma and beta for a norm's weight and bias; position numbers and masks saved as if they were weights."""
    parity.make(CASES["bert: as published"], tmp_path / "bert")
    whole = load(tmp_path / "bert")

    def rename(tensors):
        changed = {re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name): t for name, t in tensors.items()}
        changed = {re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", name): t for name, t in changed.items()}
        return changed | {"bert.embeddings.position_ids": torch.arange(23)[None]}

    assert any(name.endswith("gamma") for name in edit_weights(tmp_path / "bert", rename))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(whole, load(tmp_path / "bert"))


def test_masks_that_old_versions_saved(gpt2, tmp_path):
    whole = load(gpt2)
    masks = {f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 23, 23, dtype=torch.bool) for i in range(3)}
    masks |= {f"transformer.h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(3)}
    edit_weights(gpt2, lambda tensors: tensors | masks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(whole, load(gpt2))
    parity.make(CASES["t5: version 1.0"], tmp_path / "t5")
    unread = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    edit_weights(tmp_path / "t5", lambda tensors: tensors | {unread: torch.zeros(32, 3)})
    load(tmp_path / "t5")


def test_tied_weights_may_stand_there_twice_or_under_either_name(gpt2):
    whole = load(gpt2)
    embedding = load_file(gpt2 / "model.safetensors")["transformer.wte.weight"]
    edit_weights(gpt2, lambda tensors: tensors | {"lm_head.weight": embedding.clone()})
    assert_equal(whole, load(gpt2))
    edit_weights(gpt2, lambda tensors: {n: t for n, t in tensors.items() if n != "transformer.wte.weight"})
    model = load(gpt2)
    assert_equal(whole, model)
    assert model.head.weight is model.embedding.weight


def test_what_is_shared_is_one_tensor_again(published):
    model, config = load(published), load(published).config
    fresh = type(model)(config)
    groups = [
        {name for name, p in fresh.named_parameters(remove_duplicate=False) if p is parameter}
        for parameter in fresh.parameters()
    ]
    assert any(len(group) > 1 for group in groups)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for group in groups:
        assert len({id(parameters[name]) for name in group}) == 1
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in fresh.parameters())
    for name, parameter in fresh.named_parameters():  # in memory, too, a decoder's weights lie as they are wanted
        assert parameters[name].stride() == parameter.stride(), name
    assert not model.training
    assert all(p.requires_grad and not p.is_meta for p in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())


# ------------------------------------------------------------------------------------------- dtype, device and memory


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_dtype(dtype, gpt2):
    stored = load_file(gpt2 / "model.safetensors")
    model = load(gpt2, dtype=dtype)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert torch.equal(model.embedding.weight, stored["transformer.wte.weight"].to(dtype))
    edit_weights(gpt2, lambda tensors: {name: tensor.to(dtype) for name, tensor in tensors.items()})
    kept = load(gpt2, dtype=None)
    assert {p.dtype for p in kept.parameters()} == {dtype}
    save(kept, gpt2)
    assert json.loads((gpt2 / "config.json").read_text(encoding="utf-8"))["dtype"] == str(dtype)[6:]
    assert_equal(kept, load(gpt2, dtype=None))


@pytest.mark.parametrize("strict", [True, False])
def test_device(strict, gpt2):
    if not strict:
        edit_weights(gpt2, lambda tensors: {n: t for n, t in tensors.items() if "ln_f" not in n})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load(gpt2, device=device, dtype=torch.bfloat16, strict=strict)
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {(device, torch.bfloat16)}


def test_a_model_does_not_depend_on_its_file_any_more(gpt2):
    model = load(gpt2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = gpt2 / "model.safetensors"
    path.write_bytes(b"\0" * path.stat().st_size)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


MEASURE = """
import re, sys
from pathlib import Path
from largemodels.pretrained import load
import largemodels.gpt

def megabytes(what):
    return int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) / 1024

load(sys.argv[2])  # a tiny model: imports and the like are over
before = megabytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
model = load(sys.argv[1])
print(megabytes("VmHWM") - before, megabytes("VmRSS") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured on Linux only")
@pytest.mark.parametrize("form", ["safetensors", "bin", "old bin", "bfloat16"])
def test_there_is_never_more_than_one_copy_besides_the_model(form, gpt2, tmp_path):
    with torch.device("meta"):
        model = GPT(GPTConfig(vocab_size=30000, d_model=512, num_layers=8, num_heads=8))
    dtype = torch.bfloat16 if form == "bfloat16" else torch.float32
    model = model.to_empty(device="cpu").to(dtype)
    for parameter in model.parameters():
        nn.init.ones_(parameter)  # pages that were really written
    model.head.weight = model.embedding.weight
    size = sum(p.numel() for p in model.parameters()) * 4 / 2**20
    save(model, tmp_path / "big")
    if "bin" in form:
        tensors = load_file(tmp_path / "big" / "model.safetensors")
        (tmp_path / "big" / "model.safetensors").unlink()
        new = form == "bin"
        torch.save(tensors, tmp_path / "big" / "pytorch_model.bin", _use_new_zipfile_serialization=new)
        del tensors
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "big"), str(gpt2)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, after = map(float, run.stdout.split())
    assert size > 150
    assert 0.95 * size < after < 1.1 * size, (peak, after, size)
    assert peak < 2.1 * size, (peak, after, size)


def test_no_memory_is_taken_before_the_checkpoint_is_known_to_be_whole(gpt2):
    """A config.json that asks for a petabyte is refused by what the file holds, at once."""
    edit_config(gpt2, vocab_size=10**12)
    with pytest.raises(ValueError, match=r"wte\.weight has the shape \(29, 12\).*asks for \(1000000000000, 12\)"):
        load(gpt2)
    edit_config(gpt2, vocab_size=29, n_layer=10**9)
    with pytest.raises(ValueError, match="n_layer must be at most 1000"):
        load(gpt2)


# ------------------------------------------------------------------------------------------- features of a config.json


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_field_that_transformers_knows_is_used_or_harmless(model_type):
    config = transformers.CONFIG_MAPPING[model_type](decoder_start_token_id=0).to_dict()
    for name in ("_name_or_path", "transformers_version"):
        config.pop(name, None)
    fields = Fields(config, "config.json")
    FAMILIES[model_type].read(fields, ["lm_head.weight", "cls.seq_relationship.weight"])
    assert config.keys() - fields.known == set()


UNIMPLEMENTED = [
    ("gpt2", {"add_cross_attention": True}),
    ("gpt2", {"activation_function": "quick_gelu"}),
    ("gpt2", {"activation_function": "tanh"}),
    ("gpt2", {"embd_pdrop": 0.3}),
    ("gpt2", {"quantization_config": {"bits": 4}}),
    ("gpt2", {"pruned_heads": {"0": [1]}}),
    ("gpt2", {"auto_map": {"AutoModel": "modeling.Mine"}}),
    ("gpt2", {"rotary_dim": 4}),
    ("openai-gpt", {"afn": "tanh"}),
    ("openai-gpt", {"resid_pdrop": 0.3}),
    ("gpt_neo", {"attention_types": [[["global", "sparse"], 2]], "attention_layers": ...}),
    ("gpt_neo", {"attention_types": [[["global"], 3]], "attention_layers": ...}),
    ("gpt_neo", {"attention_layers": ["local"] * 4}),
    ("gpt_neo", {"attention_types": 7}),
    ("gpt_neo", {"attention_types": [[["global"], 10**12]]}),
    ("gpt_neo", {"embed_dropout": 0.3}),
    ("bert", {"position_embedding_type": "relative_key"}),
    ("bert", {"is_decoder": True}),
    ("bert", {"add_cross_attention": True}),
    ("albert", {"position_embedding_type": "relative_key_query"}),
    ("albert", {"num_memory_blocks": 2}),
    ("roberta", {"hidden_act": "relu"}),
    ("roberta", {"position_embedding_type": "relative_key"}),
    ("bart", {"encoder_layerdrop": 0.1}),
    ("bart", {"decoder_layerdrop": 0.1}),
    ("bart", {"encoder_attention_heads": 4}),
    ("bart", {"decoder_ffn_dim": 20}),
    ("bart", {"normalize_before": True}),
    ("bart", {"add_final_layer_norm": True}),
    ("bart", {"static_position_embeddings": True}),
    ("bart", {"is_decoder": True}),
    ("t5", {"feed_forward_proj": "gated-tanh", "dense_act_fn": ...}),
    ("t5", {"dense_act_fn": "tanh"}),
    ("t5", {"is_decoder": True}),
    ("t5", {"tie_word_embeddings": False}),
    ("t5", {"scale_decoder_outputs": False}),
]


@pytest.mark.parametrize(("model_type", "fields"), UNIMPLEMENTED, ids=lambda value: str(value)[:60])
def test_features_that_are_not_implemented_are_refused_by_name(model_type, fields, tmp_path):
    parity.make(CASES[f"{model_type}: {'version 1.0' if model_type == 't5' else 'as published'}"], tmp_path)
    load(tmp_path)
    edit_config(tmp_path, **fields)
    with pytest.raises(ValueError, match=next(iter(fields))) as failure:
        load(tmp_path)
    assert "config.json" in str(failure.value)


def test_unknown_fields_that_are_off_do_no_harm(gpt2):
    whole = load(gpt2)
    edit_config(gpt2, some_new_feature=False, another=None, third=[])
    assert_equal(whole, load(gpt2))
    edit_config(gpt2, some_new_feature=True)
    with pytest.raises(ValueError, match=r"unknown here.*some_new_feature = True"):
        load(gpt2)
    with pytest.warns(UserWarning, match="some_new_feature = True"):
        assert_equal(whole, load(gpt2, strict=False))


# The fields of official files, as far as copies of them are at hand, with the sizes of the small models put in.
OFFICIAL = {
    "gpt2": """{"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
        "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "resid_pdrop": 0.1,
        "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true,
        "summary_type": "cls_index", "summary_use_proj": true,
        "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}}""",
    "openai-gpt": """{"afn": "gelu", "architectures": ["OpenAIGPTLMHeadModel"], "attn_pdrop": 0.1, "embd_pdrop": 0.1,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "openai-gpt", "n_ctx": 512,
        "n_special": 0, "predict_special_tokens": true, "resid_pdrop": 0.1, "summary_activation": null,
        "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index"}""",
    "bert": """{"architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1, "classifier_dropout": null,
        "directionality": "bidi", "gradient_checkpointing": false, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "initializer_range": 0.02, "layer_norm_eps": 1e-12, "model_type": "bert", "pad_token_id": 0,
        "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128, "pooler_type": "first_token_transform", "position_embedding_type": "absolute",
        "transformers_version": "4.6.0.dev0", "type_vocab_size": 2, "use_cache": true}""",
    "albert": """{"architectures": ["AlbertForMaskedLM"], "attention_probs_dropout_prob": 0, "bos_token_id": 2,
        "classifier_dropout_prob": 0.1, "down_scale_factor": 1, "eos_token_id": 3, "gap_size": 0,
        "hidden_act": "gelu_new", "hidden_dropout_prob": 0, "initializer_range": 0.02, "inner_group_num": 1,
        "layer_norm_eps": 1e-12, "model_type": "albert", "net_structure_type": 0, "num_hidden_groups": 1,
        "num_memory_blocks": 0, "pad_token_id": 0, "position_embedding_type": "absolute", "type_vocab_size": 2}""",
    "roberta": """{"architectures": ["RobertaForMaskedLM"], "attention_probs_dropout_prob": 0.1, "bos_token_id": 0,
        "eos_token_id": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "initializer_range": 0.02,
        "layer_norm_eps": 1e-05, "model_type": "roberta", "pad_token_id": 1, "type_vocab_size": 1}""",
    "bart": """{"activation_dropout": 0.1, "activation_function": "gelu", "add_bias_logits": false,
        "add_final_layer_norm": false, "architectures": ["BartModel"], "attention_dropout": 0.1, "bos_token_id": 0,
        "classif_dropout": 0.1, "classifier_dropout": 0.0, "decoder_layerdrop": 0.0, "decoder_start_token_id": 2,
        "dropout": 0.1, "early_stopping": true, "encoder_layerdrop": 0.0, "eos_token_id": 2, "forced_bos_token_id": 0,
        "forced_eos_token_id": 2, "gradient_checkpointing": false, "id2label": {"0": "LABEL_0"}, "init_std": 0.02,
        "is_encoder_decoder": true, "label2id": {"LABEL_0": 0}, "model_type": "bart", "no_repeat_ngram_size": 3,
        "normalize_before": false, "normalize_embedding": true, "num_beams": 4, "num_hidden_layers": 6,
        "pad_token_id": 1, "scale_embedding": false, "task_specific_params": {"summarization": {"num_beams": 4}},
        "torch_dtype": "float32", "transformers_version": "4.12.0.dev0", "use_cache": true}""",
    "gpt_neo": """{"architectures": ["GPTNeoForCausalLM"], "activation_function": "gelu_new", "attention_dropout": 0,
        "attention_layers": ["global", "local", "global", "local"], "attention_types": [[["global", "local"], 2]],
        "bos_token_id": 50256, "embed_dropout": 0, "eos_token_id": 50256, "gradient_checkpointing": false,
        "initializer_range": 0.02, "intermediate_size": null, "layer_norm_epsilon": 1e-05, "model_type": "gpt_neo",
        "resid_dropout": 0, "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true,
        "summary_type": "cls_index", "summary_use_proj": true, "torch_dtype": "float32", "use_cache": true,
        "window_size": 256}""",
    "t5": """{"architectures": ["T5ForConditionalGeneration"], "classifier_dropout": 0.0, "decoder_start_token_id": 0,
        "dense_act_fn": "relu", "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "relu",
        "initializer_factor": 1.0, "is_encoder_decoder": true, "is_gated_act": false, "layer_norm_epsilon": 1e-06,
        "model_type": "t5", "n_positions": 512, "output_past": true, "pad_token_id": 0,
        "relative_attention_max_distance": 128, "relative_attention_num_buckets": 32,
        "task_specific_params": {"translation_en_to_de": {"prefix": "translate English to German: "}},
        "torch_dtype": "float32", "transformers_version": "4.46.3", "use_cache": true}""",
}
SIZES = "vocab_size n_positions n_embd n_layer n_head max_position_embeddings hidden_size num_layers num_heads"
SIZES += " num_hidden_layers num_attention_heads intermediate_size embedding_size d_model d_kv d_ff num_decoder_layers"
SIZES += " encoder_layers decoder_layers encoder_attention_heads decoder_attention_heads encoder_ffn_dim"
SIZES += " decoder_ffn_dim window_size type_vocab_size"


def test_the_fields_of_official_files_are_all_understood(published):
    ours = json.loads((published / "config.json").read_text(encoding="utf-8"))
    official = json.loads(OFFICIAL[ours["model_type"]])
    sizes = {name: ours[name] for name in SIZES.split() if name in ours and name != "num_hidden_layers"}
    if "num_hidden_layers" in ours:
        sizes["num_hidden_layers"] = ours["num_hidden_layers"]
    fields = Fields(official | sizes, "config.json")
    names = {"shared.weight"}
    config = FAMILIES[ours["model_type"]].read(fields, names)
    assert fields.unknown() == {}
    assert isinstance(type(load(published))(config), nn.Module)


def test_t5_1_1_as_older_versions_wrote_it(tmp_path):
    """tie_word_embeddings = false and nothing about scaling."""
    theirs = parity.make(CASES["t5: version 1.1"], tmp_path)
    edit_config(tmp_path, tie_word_embeddings=False, scale_decoder_outputs=..., dense_act_fn=..., is_gated_act=...)
    model = load(tmp_path)
    assert model.config == T5Config.v1_1(
        "small", vocab_size=29, d_model=10, d_head=4, num_heads=3, d_ff=18, num_encoder_layers=2, num_decoder_layers=3
    )
    tokens = torch.randint(3, 29, (2, 5))
    torch.testing.assert_close(model(tokens, tokens), theirs(tokens, decoder_input_ids=tokens).logits)


# --------------------------------------------------------------------------------------- weights that do not fit


def test_missing_and_left_over_weights_are_named_exactly(gpt2):
    def change(tensors):
        del tensors["transformer.h.1.mlp.c_fc.bias"], tensors["transformer.ln_f.weight"]
        return tensors

    edit_weights(gpt2, change)
    with pytest.raises(
        ValueError, match=r"lacks weights.*: transformer\.h\.1\.mlp\.c_fc\.bias, transformer\.ln_f\.weight "
    ):
        load(gpt2)
    edit_weights(gpt2, lambda tensors: tensors | {"score.weight": torch.zeros(2, 12)})
    with pytest.warns(UserWarning, match="weights") as told:
        model = load(gpt2, strict=False)
    assert len(told) == 2
    assert str(told[1].message).endswith("no place in the model its config.json describes: score.weight")
    assert torch.equal(model.stack.norm.weight, torch.ones(12))


def test_a_pooler_that_no_head_reads_is_kept(tmp_path):
    """As the official RoBERTa and ALBERT: a pooler, but no head that would read it."""
    parity.make(CASES["roberta: as published"], tmp_path)
    whole = load(tmp_path)
    pooler = {"weight": torch.randn(12, 12), "bias": torch.randn(12)}
    theirs = {f"roberta.pooler.dense.{name}": tensor for name, tensor in pooler.items()}
    edit_weights(tmp_path, lambda tensors: tensors | theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load(tmp_path)
    assert all(torch.equal(model.pooler.get_parameter(name), tensor) for name, tensor in pooler.items())
    tokens = torch.randint(3, 29, (2, 5))
    assert torch.equal(model(tokens), whole(tokens))
    assert_equal(model, load(save(model, tmp_path / "again")))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"n_layer": 2}, "no place in the model.*transformer.h.2.attn"),
        ({"n_layer": 4}, "lacks weights.*transformer.h.3.attn"),
        ({"n_embd": 24}, r"has the shape \(29, 12\), but config.json asks for \(29, 24\)"),
        ({"n_positions": 24}, r"model.safetensors: transformer.wpe.weight has the shape \(23, 12\)"),
        ({"vocab_size": 28}, r"wte.weight has the shape"),
        ({"n_inner": 5}, r"c_fc.weight has the shape \(12, 48\), but config.json asks for \(12, 5\)"),
        ({"n_head": 5}, "config.json.*5 heads do not divide d_model=12"),
        ({"tie_word_embeddings": False}, r"lacks weights.*lm_head\.weight"),
        ({"model_type": "gpt_neo"}, "config.json"),
        ({"model_type": "openai-gpt"}, "unknown here.*activation_function = 'gelu_new'"),
        ({"model_type": "llama"}, "model_type = 'llama' is not implemented here; implemented are gpt2"),
        ({"model_type": ...}, r"does not tell the model_type.*load\(…, model_type=…\) with one of gpt2"),
        ({"n_layer": ...}, "does not tell n_layer"),
        ({"n_layer": "3"}, "n_layer must be a whole number of at least 1, got '3'"),
        ({"n_layer": 3.0}, "n_layer must be a whole number"),
        ({"n_layer": True}, "n_layer must be a whole number"),
        ({"n_layer": 0}, "n_layer must be a whole number of at least 1, got 0"),
        ({"layer_norm_epsilon": "small"}, "layer_norm_epsilon must be a number"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon must be a number"),
        ({"attn_pdrop": 1.5}, "config.json.*attention_dropout must be a probability"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
        ({"model_type": ["gpt2"]}, "is not implemented"),
        ({"activation_function": ["relu"]}, "activation_function"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_config_that_is_wrong_or_contradicts_the_weights(fields, told, gpt2):
    edit_config(gpt2, **fields)
    with pytest.raises(ValueError, match=told):
        load(gpt2)


def test_tied_weights_that_differ(gpt2):
    edit_weights(gpt2, lambda tensors: tensors | {"lm_head.weight": torch.zeros(29, 12)})
    with pytest.raises(ValueError, match=r"transformer\.wte\.weight and lm_head\.weight differ.*tie_word_embeddings"):
        load(gpt2)
    edit_config(gpt2, tie_word_embeddings=False)
    assert load(gpt2).head.weight.abs().max() == 0


def test_the_same_weights_under_two_names(gpt2, tmp_path):
    parity.make(CASES["bert: as published"], tmp_path / "bert")
    name = "bert.embeddings.LayerNorm"
    edit_weights(tmp_path / "bert", lambda tensors: tensors | {f"{name}.gamma": torch.zeros(12)})
    with pytest.raises(ValueError, match=rf"{name}\.\w+ and {name}\.\w+ are two names"):
        load(tmp_path / "bert")


def test_weights_that_are_whole_numbers(gpt2):
    name = "transformer.h.0.ln_1.weight"
    edit_weights(gpt2, lambda tensors: tensors | {name: torch.ones(12, dtype=torch.int64)})
    with pytest.raises(ValueError, match=rf"model\.safetensors: {name} does not hold floating-point numbers"):
        load(gpt2)


# ----------------------------------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize("part", [0, 4, 8, 100, 0.5, 0.999])
def test_truncated_safetensors(part, gpt2):
    path = gpt2 / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: part if part >= 1 or part == 0 else int(len(whole) * part)])
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read.*damaged or incomplete"):
        load(gpt2)


def header(content: dict, size: int = 64) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * size


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 548105171\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>not found</html>", "web page"),
        (b"PK\x03\x04 something else entirely" * 10, "damaged"),
        (struct.pack("<Q", 2**60) + b"{}", "damaged"),
        (struct.pack("<Q", 2) + b"{]" + b"\0" * 8, "damaged"),
        (header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 4000]}}), "damaged"),
        (header({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}), "damaged"),
        (header({"a": {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]}}), "damaged"),
    ],
    ids=["git-lfs", "html", "other", "length", "json", "offsets", "overflow", "dtype"],
)
def test_files_that_are_no_safetensors(content, told, gpt2):
    (gpt2 / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=rf"model\.safetensors cannot be read.*{told}"):
        load(gpt2)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("part", [0, 10, 0.3, 0.9, 0.999])
def test_truncated_pytorch_model(part, old, gpt2):
    tensors = load_file(gpt2 / "model.safetensors")
    (gpt2 / "model.safetensors").unlink()
    path = gpt2 / "pytorch_model.bin"
    torch.save(tensors, path, _use_new_zipfile_serialization=not old)
    load(gpt2)
    whole = path.read_bytes()
    path.write_bytes(whole[: part if part >= 1 or part == 0 else int(len(whole) * part)])
    with pytest.raises(ValueError, match=r"pytorch_model\.bin cannot be read.*damaged or incomplete"):
        load(gpt2)


class Harmful:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["zip", "old", "plain pickle"])
def test_a_pickle_with_code_is_refused_and_not_executed(form, gpt2, tmp_path):
    touched = tmp_path / "touched"
    content = load_file(gpt2 / "model.safetensors") | {"transformer.wte.weight": Harmful(touched)}
    (gpt2 / "model.safetensors").unlink()
    path = gpt2 / "pytorch_model.bin"
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(Harmful(touched), protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin holds something other than tensors.*nothing.*executed"):
        load(gpt2)
    assert not touched.exists()
    # The trap works: whoever opens it carelessly is caught.
    pickle.loads(path.read_bytes()) if form == "plain pickle" else torch.load(path, weights_only=False)
    assert touched.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([torch.zeros(2)], "must hold tensors by name, got list"),
        (torch.zeros(2), "must hold tensors by name, got Tensor"),
        ({"model": {"wte.weight": torch.zeros(2)}}, "'model' is dict; save model.state_dict"),
        ({"epoch": 3}, "'epoch' is int"),
        ({3: torch.zeros(2)}, "3 is Tensor"),
    ],
    ids=["list", "tensor", "nested", "number", "key"],
)
def test_a_pickle_with_something_else(content, told, gpt2):
    (gpt2 / "model.safetensors").unlink()
    torch.save(content, gpt2 / "pytorch_model.bin")
    with pytest.raises(ValueError, match=rf"pytorch_model\.bin.*{told}"):
        load(gpt2)


# ------------------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def sharded(gpt2):
    tensors = load_file(gpt2 / "model.safetensors")
    (gpt2 / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {"a.safetensors": names[:9], "b.safetensors": names[9:20], "c.safetensors": names[20:]}
    for file, members in files.items():
        save_file({name: tensors[name] for name in members}, gpt2 / file)
    index = {"weight_map": {name: file for file, members in files.items() for name in members}}
    (gpt2 / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    load(gpt2)
    return gpt2


def test_missing_shards_are_named(sharded):
    (sharded / "b.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lists 3 files, of which b\.safetensors is missing"):
        load(sharded)
    (sharded / "c.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"of which b\.safetensors and c\.safetensors are missing"):
        load(sharded)


def test_a_truncated_shard_is_named(sharded):
    path = sharded / "b.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"b\.safetensors cannot be read"):
        load(sharded)


def test_an_index_that_contradicts_its_shards(sharded):
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    index["weight_map"]["transformer.wte.weight"] = "a.safetensors"
    path.write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match=r"says that a\.safetensors holds transformer\.wte\.weight, but it does not"):
        load(sharded)
    (sharded / "c.safetensors").write_bytes((sharded / "b.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"stands in both"):
        load(sharded)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"weight_map": {}},
        {"weight_map": ["a.safetensors"]},
        {"weight_map": {"x": 1}},
        {"weight_map": {"x": "../a.safetensors"}},
        {"weight_map": {"x": "/etc/passwd"}},
        {"weight_map": {"x": "..\\a.safetensors"}},
        {"weight_map": {"x": "a.bin"}},
    ],
    ids=str,
)
def test_an_index_that_is_none(content, sharded):
    (sharded / "model.safetensors.index.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"index\.json: weight_map"):
        load(sharded)


def test_files_that_are_not_there(gpt2, tmp_path):
    (gpt2 / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no weights.*model\.safetensors.*pytorch_model\.bin"):
        load(gpt2)
    (gpt2 / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        load(gpt2)
    for nowhere in (tmp_path / "nowhere", str(tmp_path / "nowhere"), "./nowhere", "a/b/c", "..", ""):
        with pytest.raises(FileNotFoundError, match=r"(there is no folder|holds no config)"):
            load(nowhere)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1, 2]", b"\xff\xfe{}", b"null", b"[" * 100_000], ids=lambda c: str(c)[:12]
)
def test_a_config_that_is_no_json_object(content, gpt2):
    (gpt2 / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        load(gpt2)


def test_an_interrupted_save_leaves_what_was_there(gpt2, monkeypatch):
    whole = load(gpt2)
    before = (gpt2 / "model.safetensors").read_bytes()

    def half(tensors, path, **_):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("largemodels.pretrained.files.save_file", half)
    with pytest.raises(KeyboardInterrupt):
        save(whole, gpt2)
    assert (gpt2 / "model.safetensors").read_bytes() == before
    assert not list(gpt2.glob(".*.part"))


# ------------------------------------------------------------------------------------------------------------- the Hub


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as a download needs, serving one folder as repository "someone/small"."""

    folder: Path
    commit = "0" * 40

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        prefix = "/someone/small/resolve/"
        name = self.path.partition("?")[0].removeprefix(prefix).partition("/")[2]
        known = self.path.startswith(prefix)
        path = self.folder / name
        if not known or not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("X-Repo-Commit", self.commit)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hash(content) & 0xFFFFFFFF:x}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


LOAD = """
import sys
from largemodels.pretrained import load, load_tokenizer
try:
    model = load(sys.argv[1])
    print(type(model).__name__, model.config.vocab_size, sum(p.sum().item() for p in model.parameters()))
    print(load_tokenizer(sys.argv[1]).encode("the").ids)
except OSError as error:
    print(type(error).__name__, error)
"""


def load_elsewhere(name: str, cache: Path, **environment) -> str:
    settings = {"HF_HOME": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    run = subprocess.run(
        [sys.executable, "-c", LOAD, name],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=kept | settings | environment | {"PYTHONUTF8": "1"},
        cwd=cache.parent,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
def test_a_repository_is_downloaded_once_and_then_there(gpt2, tmp_path):
    (gpt2 / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n", encoding="utf-8")
    expected = load(gpt2)
    hub = type("ThisHub", (Hub,), {"folder": gpt2})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
        printed = load_elsewhere("someone/small", tmp_path / "cache", **address)
        kind, size, total = printed.split()[:3]
        assert (kind, int(size)) == ("GPT", 29)
        assert float(total) == pytest.approx(sum(p.sum().item() for p in expected.parameters()))
        assert "[2, 4, 3]" in printed
        unknown = load_elsewhere("someone/unknown", tmp_path / "cache", **address)
        assert unknown.startswith("FileNotFoundError there is no folder someone/unknown here and no repository")
    finally:
        server.shutdown()
        server.server_close()
    # Without a network what was downloaded is still there, and nothing else is.
    assert load_elsewhere("someone/small", tmp_path / "cache", HF_HUB_OFFLINE="1") == printed


@pytest.mark.slow
def test_without_a_network_the_error_says_what_to_put_where(tmp_path):
    told = load_elsewhere("openai-community/gpt2", tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert told.startswith("ConnectionError there is no folder openai-community/gpt2 here")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "one folder"):
        assert name in told
    assert told.strip().count("\n") == 0
