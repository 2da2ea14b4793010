"""Our models are ordinary PyTorch modules: what works on any of them works on every family and every scheme of positions."""

import copy
import io
import warnings

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_model, save_model
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.utils import parameters_to_vector, prune, vector_to_parameters
from torch.utils.checkpoint import checkpoint

from largemodels import generation
from largemodels.bart import BART, BARTConfig
from largemodels.bert import BERT, BERTConfig, SequenceClassifier, TokenClassifier
from largemodels.blocks import Block
from largemodels.generation import greedy
from largemodels.gpt import GPT, GPTConfig
from largemodels.positions import SCHEMES
from largemodels.t5 import T5, T5Config
from largemodels.transformer import Transformer, TransformerConfig

VOCABULARY, LONGEST = 23, 24
SIZES = {"d_model": 16, "num_heads": 2, "d_ff": 24}
BOTH = {**SIZES, "num_encoder_layers": 2, "num_decoder_layers": 2}


def gpt(**changes) -> GPT:
    return GPT(GPTConfig(VOCABULARY, **{**SIZES, "max_length": LONGEST, "num_layers": 2, "init_std": 0.3} | changes))


def bert(**changes) -> BERT:
    sizes = {"max_length": LONGEST, "num_layers": 2, "init_std": 0.3}
    return BERT(BERTConfig(VOCABULARY, **{**SIZES, **sizes} | changes))


FAMILIES = {
    "transformer": lambda: Transformer(TransformerConfig(VOCABULARY, VOCABULARY, max_length=LONGEST, **BOTH)),
    "bart": lambda: BART(BARTConfig(VOCABULARY, max_length=LONGEST, init_std=0.3, **BOTH)),
    "t5": lambda: T5(T5Config(VOCABULARY, d_head=8, **BOTH)),
    "t5 1.1": lambda: T5(T5Config(VOCABULARY, d_head=8, gated=True, tied_head=False, **BOTH)),
    "bert": bert,
    "albert": lambda: bert(d_embedding=8, share="all"),
    "roberta": lambda: bert(num_segments=1, pad=1, sentence_pairs=False),
    "sequence classifier": lambda: SequenceClassifier(bert(), 3),
    "token classifier": lambda: TokenClassifier(bert(), 3),
    "gpt-1": lambda: gpt(norm_first=False, scaled_init=False),
    "gpt-2": gpt,
    "gpt-3": lambda: gpt(bands=(None, 5)),
    "gpt-neo": lambda: gpt(bands=(None, 5), attention_scale=1.0, attention_bias=False),
} | {f"gpt, {name}": lambda name=name: gpt(positions=name) for name in SCHEMES if name != "learned"}
EVERY = pytest.mark.parametrize("family", FAMILIES)
WRITERS = [name for name in FAMILIES if "bert" not in name and "classifier" not in name]


def made(family: str) -> nn.Module:
    torch.manual_seed(0)
    return FAMILIES[family]().eval()


@pytest.fixture(autouse=True)
def _small_models_are_copied_too(monkeypatch):
    """What `generation.weights_by_input` does to large models that write, it does to those of this file."""
    monkeypatch.setattr(generation, "FEWEST_TOKENS", 1)
    monkeypatch.setattr(generation, "SMALLEST_COPY", 1)


def inputs(model: nn.Module, length: int = 7, batch: int = 2) -> tuple[torch.Tensor, ...]:
    """Token ids as the model takes them."""
    texts = torch.randint(2, VOCABULARY, (2, batch, length), generator=torch.Generator().manual_seed(length))
    return tuple(texts) if hasattr(model, "decoder") else (texts[0],)


def loss_of(model: nn.Module) -> torch.Tensor:
    return model(*inputs(model)).square().mean()


# ---------------------------------------------------------------------------------------------- compiled and exported


@EVERY
@pytest.mark.slow
def test_compiled_as_one_graph_it_gives_the_same_at_every_length(family):
    torch.compiler.reset()
    model = made(family)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for length in (7, 11, 3):
        torch.testing.assert_close(compiled(*inputs(model, length)), model(*inputs(model, length)))


@EVERY
@pytest.mark.slow
def test_exported_for_any_length_it_gives_the_same(family):
    model = made(family)
    if "floater" in family:
        pytest.skip("the path of a FLOATER is solved step by step, so the length is part of the program")
    arguments = inputs(model)
    length = torch.export.Dim("length", min=2, max=LONGEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, arguments, dynamic_shapes=tuple({1: length} for _ in arguments)).module()
    for n in (2, 7, 19):
        torch.testing.assert_close(program(*inputs(model, n)), model(*inputs(model, n)))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name.startswith(("gpt", "bert"))])
@pytest.mark.slow
def test_exported_with_a_mask_for_any_number_of_texts_it_gives_the_same(family):
    model = made(family)
    if "floater" in family:
        pytest.skip("the path of a FLOATER is solved step by step, so the length is part of the program")
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", min=2, max=LONGEST)

    def arguments(texts: int, n: int) -> dict[str, torch.Tensor]:
        mask = torch.ones(texts, 1, 1, n, dtype=torch.bool)
        mask[0, ..., 0] = False
        return {"tokens": inputs(model, n, texts)[0], "mask": mask}

    shapes = {"tokens": {0: batch, 1: length}, "mask": {0: batch, 3: length}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (), arguments(2, 7), dynamic_shapes=shapes).module()
    for texts, n in ((2, 7), (5, 11), (3, 2)):
        torch.testing.assert_close(program(**arguments(texts, n)), model(**arguments(texts, n)))


@EVERY
@pytest.mark.slow
def test_traced_once_it_gives_the_same_at_every_length(family):
    if "floater" in family:
        pytest.skip("the path of a FLOATER is solved step by step, so the length is part of the program")
    model = made(family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks of lengths are not part of the program
        traced = torch.jit.trace(model, inputs(model), check_trace=False)
    for length, batch in ((7, 3), (11, 2), (1, 1)):
        tokens = inputs(model, length, batch)
        torch.testing.assert_close(traced(*tokens), model(*tokens))


# ------------------------------------------------------------------------------------- parameters as any library has


@EVERY
def test_parameters_lie_in_memory_as_torch_makes_them(family):
    model = made(family)
    assert all(parameter.is_contiguous() for parameter in model.parameters())
    loss_of(model).backward()
    gradients = [parameter.grad.view(-1) for parameter in model.parameters() if parameter.grad is not None]
    assert torch.cat(gradients).isfinite().all()
    expected = model(*inputs(model))
    vector_to_parameters(parameters_to_vector(model.parameters()).clone(), model.parameters())
    assert torch.equal(model(*inputs(model)), expected)


@EVERY
@pytest.mark.slow
def test_lbfgs_learns(family):
    model = made(family)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    before = loss_of(model).item()
    optimizer.step(closure)
    assert loss_of(model).item() < before


@EVERY
@pytest.mark.slow
def test_copied_pickled_and_saved_it_is_the_same_model(family, tmp_path):
    model = made(family)
    expected = model(*inputs(model))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert torch.equal(other(*inputs(other)), expected)
        assert len(list(other.parameters())) == len(list(model.parameters()))  # what was tied still is
    other = FAMILIES[family]().eval()
    save_model(model, str(tmp_path / "model.safetensors"))
    load_model(other, str(tmp_path / "model.safetensors"))
    assert torch.equal(other(*inputs(other)), expected)


@EVERY
@pytest.mark.parametrize("assign", [False, True])
def test_made_on_the_meta_device_it_becomes_what_it_loads(family, assign):
    model = made(family)
    with torch.device("meta"):
        empty = FAMILIES[family]().eval()
    empty.to_empty(device="cpu")
    for tensor in [*empty.parameters(), *empty.buffers()]:
        tensor.data.fill_(17)  # as if the memory had been used before
    empty.load_state_dict(copy.deepcopy(model.state_dict()), assign=assign)
    assert torch.equal(empty(*inputs(model)), model(*inputs(model)))
    assert len(list(empty.parameters())) == len(list(model.parameters()))  # what was tied is tied again


@EVERY
@pytest.mark.slow
def test_distributed_with_fully_shard_it_learns_the_same(family, one_process):
    from torch.distributed.fsdp import fully_shard

    model, sharded = made(family), made(family)
    fully_shard(sharded, mesh=one_process)
    for each in (model, sharded):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        loss_of(each).backward()
        optimizer.step()
    torch.testing.assert_close(sharded(*inputs(model)), model(*inputs(model)))


@pytest.fixture(scope="module")
def one_process():
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("torch was built without torch.distributed")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


# ---------------------------------------------------------------------------------------- numbers and sizes of all kinds


@EVERY
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.15), (torch.float64, 1e-5)])
def test_in_any_precision_it_says_the_same(family, dtype, tolerance):
    model = made(family)
    expected, found = model(*inputs(model)), copy.deepcopy(model).to(dtype)(*inputs(model))
    assert found.dtype == dtype
    assert (found.float() - expected).abs().max() <= tolerance * expected.abs().max()


@EVERY
def test_built_in_float64_all_of_it_is(family):
    torch.set_default_dtype(torch.float64)
    try:
        model = made(family)
        assert model(*inputs(model)).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@EVERY
def test_no_text_one_text_and_one_token(family):
    model = made(family)
    two = model(*inputs(model, batch=2))
    assert model(*(tokens[:0] for tokens in inputs(model))).shape == (0, *two.shape[1:])
    torch.testing.assert_close(model(*(tokens[:1] for tokens in inputs(model))), two[:1])
    assert model(*(tokens[:, :1] for tokens in inputs(model))).isfinite().all()


# ------------------------------------------------------------------------------------------------- the rest of torch


@EVERY
@pytest.mark.slow
def test_functional_calls_gradients_and_ensembles(family):
    if family in ("bart", "albert", "gpt, shaw", "gpt, t5"):
        pytest.skip("functional_call of torch 2.13 does not put back the weights of a module that stands in two places")
    model = made(family)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    gradients = grad(lambda weights: functional_call(model, weights, inputs(model)).square().mean())(weights)
    loss_of(model).backward()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(gradients[name], torch.zeros_like(weight) if weight.grad is None else weight.grad)

    models = [model, FAMILIES[family]().eval()]
    stacked, buffers = stack_module_state(models)
    tokens = inputs(model)
    both = vmap(lambda w, b: functional_call(model, (w, b), tokens))(stacked, buffers)
    for found, each in zip(both, models, strict=True):
        torch.testing.assert_close(found, each(*inputs(model)), rtol=1e-4, atol=1e-5)


@EVERY
def test_it_learns_after_it_was_asked(family):
    """What was computed without gradients, in a generation say, must not be in the way of learning."""
    model = made(family)
    with torch.inference_mode():
        model(*inputs(model, 9))
    loss_of(model).backward()
    if family in WRITERS:
        source = {"source": inputs(model)[0]} if hasattr(model, "decoder") else {}
        greedy(model, inputs(model)[-1][:, :3], max_new_tokens=17, **source)
        model.train()
        loss_of(model).backward()


@EVERY
def test_shared_and_watched_by_hooks_it_says_the_same(family):
    model = made(family)
    expected = model(*inputs(model))
    model.share_memory()
    assert all(tensor.is_shared() for tensor in [*model.parameters(), *model.buffers()])
    called, blocks = set(), [name for name, module in model.named_modules() if isinstance(module, Block)]
    for name, module in model.named_modules():
        module.register_forward_hook(lambda module, inputs, output, name=name: called.add(name))
    for name in blocks:
        module = model.get_submodule(name)
        module.register_full_backward_hook(lambda module, inputs, outputs, name=name: called.add(f"{name}, back"))
    assert torch.equal(model(*inputs(model)), expected)
    loss_of(model).backward()
    assert {"", *blocks, *(f"{name}, back" for name in blocks)} <= called
    written(model, family)


COMPUTED = {
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "the older weight_norm": nn.utils.weight_norm,
    "a mask": lambda linear: prune.identity(linear, "weight"),
}


@EVERY
@pytest.mark.slow
@pytest.mark.parametrize("how", COMPUTED)
def test_weights_that_are_computed_from_others_stay_so_when_loaded(family, how):
    def computed() -> nn.Module:
        model = made(family)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the older one is deprecated
            for linear in [module for module in model.modules() if isinstance(module, nn.Linear)]:
                COMPUTED[how](linear)
        return model

    plain, model, other = made(family), computed(), computed()
    torch.testing.assert_close(model(*inputs(model)), plain(*inputs(model)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_of(model).backward()
    optimizer.step()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(*inputs(model)), model(*inputs(model)))
    assert not torch.equal(other(*inputs(model)), plain(*inputs(model)))
    written(other, family)


@EVERY
@pytest.mark.slow
def test_checkpointed_pruned_averaged_and_quantised(family):
    model = made(family)
    loss_of(model).backward()
    expected = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    model.zero_grad()
    checkpoint(model, *inputs(model), use_reentrant=False).square().mean().backward()
    found = [weight.grad for weight in model.parameters() if weight.grad is not None]
    torch.testing.assert_close(found, expected)

    average = torch.optim.swa_utils.AveragedModel(model)
    average.update_parameters(model)
    assert torch.equal(average(*inputs(model)), model(*inputs(model)))

    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    prune.global_unstructured([(linears[0], "weight")], prune.L1Unstructured, amount=0.25)
    assert (linears[0].weight == 0).sum() == round(0.25 * linears[0].weight.numel())
    written(model, family)
    prune.remove(linears[0], "weight")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    assert quantised(*inputs(model)).isfinite().all()
    written(quantised, family)


def written(model: nn.Module, family: str) -> None:
    """A model that others have changed can still write."""
    if family in WRITERS:
        prompt = inputs(model)[-1][:, :2]
        source = {"source": inputs(model)[0]} if hasattr(model, "decoder") else {}
        assert greedy(model, prompt, max_new_tokens=17, **source).shape == (2, 17)
