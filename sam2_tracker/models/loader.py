# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
From settings to a model: config, class, weights, device; and what it held, given back.

Hydra's global state stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from functools import partial
import gc
import threading
from typing import Any, TYPE_CHECKING

from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from sam2.build_sam import build_sam2_video_predictor
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.config import IMAGE_SIZE_STEP, ModelConfig
from sam2_tracker.core.engine.graphs.recorder import CudaRecorder
from sam2_tracker.core.engine.graphs.replays import Graphs
from sam2_tracker.core.engine.memory.belief import BeliefRule
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.engine.stream_predictor import refuse_unknown
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.log import Log, silent
from sam2_tracker.core.process import keep_freed_memory, return_freed_memory
from sam2_tracker.models.checkpoints import find_checkpoint, refuse_twin
from sam2_tracker.models.device import is_out_of_memory, resolve_device, resolve_precision
from sam2_tracker.models.weights import load_weights, randomise, read_weights
from sam2_tracker.models.zoo import model_spec, ModelSpec
import torch

if TYPE_CHECKING:
    from sam2_tracker.core.engine.stream_predictor import StreamPredictor

STREAM_PREDICTOR = 'sam2_tracker.core.engine.stream_predictor.StreamPredictor'

# What build_sam2_video_predictor's apply_postprocessing sets, but for its fill_hole_area=8: only
# SAM 2's CUDA extension fills holes there, and it would change the memory of prompted frames.
_POSTPROCESSING: dict[str, Any] = {
    'sam_mask_decoder_extra_args.dynamic_multimask_via_stability': True,
    'sam_mask_decoder_extra_args.dynamic_multimask_stability_delta': 0.05,
    'sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh': 0.98,
    'binarize_mask_from_pts_for_mem_enc': True,
    'fill_hole_area': 0,
}

_BATCHED = {'auto': None, 'always': True, 'never': False}

# Hydra keeps its configs in one global object.
_hydra_lock = threading.Lock()


def build_tracking_predictor(config: ModelConfig, max_cond_frames: int = 4,
                             log: Log = silent, memory: str = 'stock',
                             cuts: bool = False, doubt: bool = False) -> Predictor:
    """
    Build the model that the settings name, ready for a tracker.

    :param max_cond_frames: prompted frames that memory attention reads, 2 or more
    :param log: is told what has to be done in a slower way
    :param memory: stock, selective or distractor
    :param cuts: ask for proofs that objects are what is seen after a cut
    :param doubt: doubt masks that flood the picture or jump as the score falls
    :raises ModelError: unknown model or setting, checkpoint missing or damaged, no such device
    """
    refuse_unknown('batching', config.batching, _BATCHED)
    device = resolve_device(config.device)
    if device.type == 'cpu':
        keep_freed_memory()
    precision = resolve_precision(config.precision, device)
    name = 'bfloat16' if precision is torch.bfloat16 else 'float32'
    model = build_predictor(config, max_cond_frames)
    records = config.cuda_graphs and device.type == 'cuda'
    graphs = Graphs(partial(CudaRecorder, device) if records else None, log)
    return Predictor(model, name, _BATCHED[config.batching], graphs=graphs, log=log,
                     memory=memory,
                     beliefs=BeliefRule(cuts, doubt) if cuts or doubt else None)


def build_predictor(
    config: ModelConfig, max_cond_frames: int = 4, random_weights: bool = False
) -> StreamPredictor:
    """
    Build the streaming predictor, on its device and ready to be called.

    :param max_cond_frames: prompted frames that memory attention reads, 2 or more
    :param random_weights: seeded random weights instead of a checkpoint, for tests and benchmarks
    :raises ModelError: unknown model, checkpoint missing, damaged or of another model, no such
        device, no memory left
    """
    spec = model_spec(config.name)
    device = resolve_device(config.device)
    resolve_precision(config.precision, device)
    model_config = load_model_config(spec, config, max_cond_frames)
    model_config['_target_'] = STREAM_PREDICTOR
    model_config['trust'] = _trust(spec)
    try:
        model = _fill(model_config, config, random_weights).to(device).eval()
    except (MemoryError, RuntimeError, InstantiationException) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f'not enough memory on {device} for {spec.name}; free some, or choose a '
            'smaller model or device cpu'
        ) from error
    assert model.fill_hole_area == 0
    model.requires_grad_(False)
    return model


def check_image_size(image_size: int) -> None:
    """
    Make sure that a model can have pictures of that side, in pixels.

    :raises ModelError: if not
    """
    if image_size % IMAGE_SIZE_STEP or image_size < 0:
        raise ModelError(
            f'image_size {image_size} is not a multiple of {IMAGE_SIZE_STEP} '
            "(0 means the model's own)"
        )


def load_model_config(spec: ModelSpec, config: ModelConfig, max_cond_frames: int) -> DictConfig:
    """
    Read a model's config and set what differs from it here.

    :returns: the ``model`` node, for ``hydra.utils.instantiate``
    :raises ModelError: image size or number of conditioning frames cannot work
    """
    check_image_size(config.image_size)
    if max_cond_frames < 2:
        raise ModelError(f'max_cond_frames {max_cond_frames} is too small: SAM 2 needs 2 or more')
    model_config = OmegaConf.load(spec.config_file).model
    settings = {**spec.overrides, **_POSTPROCESSING, **_settings(config, max_cond_frames)}
    for key, value in settings.items():
        OmegaConf.update(model_config, key, value, force_add=True)
    assert isinstance(model_config, DictConfig)
    return model_config


def build_stock_predictor(
    config: ModelConfig, max_cond_frames: int = 4, random_weights: bool = False
) -> SAM2VideoPredictor:
    """
    Build SAM 2's own video predictor with SAM 2's own builder: the reference to compare with.

    :param random_weights: the same seeded random weights as :func:`build_predictor`'s
    :raises ModelError: unknown model, or no checkpoint
    """
    spec = model_spec(config.name)
    checkpoint = None if random_weights else str(find_checkpoint(config))
    settings = _settings(config, max_cond_frames)
    with hydra_configs(spec.config_package), _seeded():
        predictor = build_sam2_video_predictor(
            spec.config,
            checkpoint,
            str(resolve_device(config.device)),
            hydra_overrides_extra=[
                *spec.hydra_overrides,
                *(f'++model.{key}={value}' for key, value in settings.items()),
            ],
        )
    if random_weights:
        randomise(predictor)
    # The builder's own ++model.fill_hole_area=8 comes after ours and would win.
    predictor.fill_hole_area = 0
    assert isinstance(predictor, SAM2VideoPredictor)
    return predictor


@contextlib.contextmanager
def hydra_configs(package: str) -> Iterator[None]:
    """
    Make hydra find a package's configs by their bare names, and restore its state afterwards.

    SAM 2's builders compose from whatever hydra was last initialised with. Inside this,
    ``build_sam2_video_predictor('nano.yaml', ...)`` finds ``sam2_tracker.models.nano``'s.
    """
    with _hydra_lock:
        hydra, version = GlobalHydra.instance(), VersionBase.instance()
        before = hydra.hydra, version.version_base
        hydra.hydra = None
        try:
            initialize_config_module(package, version_base='1.2')
            yield
        finally:
            hydra.hydra, version.version_base = before


def release_cached_memory() -> None:
    """Give device and system back what models that are gone had."""
    gc.collect()
    return_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _settings(config: ModelConfig, max_cond_frames: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        # Corrections on tracked frames would otherwise fade after 6 to 15 frames.
        'add_all_frames_to_correct_as_cond': True,
        'max_cond_frames_in_attn': max_cond_frames,
        # The next picture's features would be written where this one's are.
        'compile_image_encoder': False,
    }
    if config.image_size:
        settings['image_size'] = config.image_size
    return settings


def _trust(spec: ModelSpec) -> dict[str, float]:
    """Return in what a model differs from others as to when it can be relied on."""
    # Beside what SAM 2's own class takes, which knows nothing of it.
    found = OmegaConf.select(OmegaConf.load(spec.config_file), 'trust', default={})
    return dict(found)


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _fill(model_config: DictConfig, config: ModelConfig, random_weights: bool) -> Any:
    if random_weights:
        with _seeded():
            model = instantiate(model_config, _recursive_=True)
        randomise(model)
        return model
    path = find_checkpoint(config)
    refuse_twin(path, model_spec(config.name))
    weights = read_weights(path)
    model = instantiate(model_config, _recursive_=True)
    load_weights(model, weights, config.name, str(path))
    return model
