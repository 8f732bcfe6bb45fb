# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import datetime
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('sam2')

from hydra import compose, initialize_config_module  # noqa: E402, I100
from hydra.core.global_hydra import GlobalHydra  # noqa: E402
from hydra.version import VersionBase  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from sam2.sam2_video_predictor import SAM2VideoPredictor  # noqa: E402
from sam2_tracker.core.config import ModelConfig  # noqa: E402
from sam2_tracker.core.engine import batching  # noqa: E402
from sam2_tracker.core.errors import ModelError  # noqa: E402
from sam2_tracker.core.protocols import TrackStep  # noqa: E402
from sam2_tracker.core.types import Prompt  # noqa: E402
from sam2_tracker.models import loader  # noqa: E402
from sam2_tracker.models.checkpoints import checkpoint_path  # noqa: E402
from sam2_tracker.models.device import resolve_device, resolve_precision  # noqa: E402
from sam2_tracker.models.kinds import recognise  # noqa: E402
from sam2_tracker.models.loader import (  # noqa: E402
    build_predictor,
    build_stock_predictor,
    build_tracking_predictor,
    hydra_configs,
    load_model_config,
)
from sam2_tracker.models.weights import read_weights  # noqa: E402
from sam2_tracker.models.zoo import MODELS  # noqa: E402

TINY = ModelConfig('sam2.1_hiera_tiny', device='cpu', image_size=128)
SMALL = ModelConfig(device='cpu', image_size=96)
STOCK_OVERRIDES = [
    '++model.sam_mask_decoder_extra_args.dynamic_multimask_via_stability=true',
    '++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.05',
    '++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.98',
    '++model.binarize_mask_from_pts_for_mem_enc=true',
    '++model.fill_hole_area=0',
    '++model.add_all_frames_to_correct_as_cond=true',
    '++model.max_cond_frames_in_attn=3',
    '++model.compile_image_encoder=false',
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def tiny_stock() -> SAM2VideoPredictor:
    return build_stock_predictor(TINY, random_weights=True)


@pytest.fixture(scope='module')
def tiny_checkpoint(tiny_stock, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('checkpoint') / 'tiny.pt'
    torch.save(
        {'model': {key: value.half() for key, value in tiny_stock.state_dict().items()}}, path
    )
    return path


def with_checkpoint(path: Path, name: str = 'sam2.1_hiera_tiny') -> ModelConfig:
    return ModelConfig(name, checkpoint=path, device='cpu', image_size=128)


@pytest.mark.parametrize('name', list(MODELS))
def test_every_model_s_config_is_what_stock_composes(name):
    spec = MODELS[name]
    if not spec.config_file.is_file():
        pytest.skip(f'{name} has no config yet')
    with hydra_configs(spec.config_package):
        stock = compose(spec.config, overrides=[*spec.hydra_overrides, *STOCK_OVERRIDES]).model
    ours = load_model_config(spec, ModelConfig(name), max_cond_frames=3)
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(stock)


def test_the_predictor_is_sam2_s_with_the_settings_of_a_stream():
    predictor = build_predictor(TINY, max_cond_frames=3, random_weights=True)
    assert isinstance(predictor, SAM2VideoPredictor)
    assert f'{type(predictor).__module__}.{type(predictor).__name__}' == loader.STREAM_PREDICTOR
    assert predictor.add_all_frames_to_correct_as_cond
    assert predictor.max_cond_frames_in_attn == 3
    assert predictor.fill_hole_area == 0
    assert predictor.image_size == 128
    assert not predictor.training


def test_stock_s_builder_is_kept_from_filling_holes(tiny_stock):
    assert type(tiny_stock) is SAM2VideoPredictor
    assert tiny_stock.fill_hole_area == 0


def test_random_weights_are_the_same_each_time_and_leave_the_generator_alone(tiny_stock):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    predictor = build_predictor(TINY, random_weights=True)
    assert torch.equal(torch.rand(1), expected)
    stock = tiny_stock.state_dict()
    assert all(torch.equal(value, stock[key]) for key, value in predictor.state_dict().items())


def test_a_half_precision_checkpoint_makes_a_float32_model(tiny_checkpoint, tiny_stock):
    predictor = build_predictor(with_checkpoint(tiny_checkpoint))
    stock = tiny_stock.state_dict()
    for key, value in predictor.state_dict().items():
        assert value.dtype == stock[key].dtype
        assert torch.equal(value, stock[key].half().to(value.dtype))


def test_the_stock_predictor_is_built_from_the_same_checkpoint(tiny_checkpoint):
    ours = build_predictor(with_checkpoint(tiny_checkpoint)).state_dict()
    stock = build_stock_predictor(with_checkpoint(tiny_checkpoint)).state_dict()
    assert all(torch.equal(ours[key], value) for key, value in stock.items())


def test_a_checkpoint_of_another_model_is_refused_and_named(tiny_checkpoint):
    with pytest.raises(
        ModelError,
        match=r'does not fit model sam2_hiera_small.*'
        r'looks like sam2\.1_hiera_tiny',
    ):
        build_predictor(with_checkpoint(tiny_checkpoint, 'sam2_hiera_small'))


@pytest.mark.parametrize('name', [name for name in MODELS if '_hiera_' in name])
def test_the_weights_of_every_official_model_are_recognised(name):
    config = load_model_config(MODELS[name], ModelConfig(name), max_cond_frames=4)
    trunk = config.image_encoder.trunk
    depth = sum(trunk.get('stages', (2, 3, 16, 3)))
    weights = {f'image_encoder.trunk.blocks.{i}.norm1.bias': torch.zeros(1) for i in range(depth)}
    weights['image_encoder.trunk.patch_embed.proj.weight'] = torch.zeros(trunk.embed_dim, 3, 7, 7)
    if config.get('no_obj_embed_spatial'):
        weights['no_obj_embed_spatial'] = torch.zeros(1, 64)
    assert recognise(weights) == name


def test_a_damaged_checkpoint_is_refused(tiny_checkpoint, tmp_path):
    content = bytearray(tiny_checkpoint.read_bytes())
    start = content.index(b'PK\x03\x04')
    content[start + 80:start + 4000] = b'\xff' * 3920
    path = tmp_path / 'damaged.pt'
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r'damaged\.pt'):
        read_weights(path)


def test_a_checkpoint_with_other_objects_is_not_executed(tmp_path):
    path = tmp_path / 'objects.pt'
    torch.save({'model': datetime.timedelta(1)}, path)
    with pytest.raises(ModelError, match='objects other than tensors'):
        read_weights(path)


def test_a_file_without_a_state_dict_is_refused(tmp_path):
    path = tmp_path / 'plain.pt'
    torch.save({'weights': [torch.zeros(3)]}, path)
    with pytest.raises(ModelError, match="no weights, neither by themselves nor under 'model'"):
        read_weights(path)


@pytest.mark.parametrize('image_size', [100, -32])
def test_an_impossible_image_size_is_refused(image_size):
    with pytest.raises(ModelError, match=f'image_size {image_size} is not a multiple of 32'):
        build_predictor(ModelConfig('sam2.1_hiera_tiny', device='cpu', image_size=image_size))


def test_fewer_than_two_conditioning_frames_are_refused():
    with pytest.raises(ModelError, match='max_cond_frames 1 is too small'):
        build_predictor(TINY, max_cond_frames=1)


@pytest.mark.parametrize('failing_step', ['__init__', 'to'])
def test_no_memory_left_is_one_sentence(failing_step, monkeypatch):
    def run_out(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 9.00 GiB')

    monkeypatch.setattr(SAM2VideoPredictor, failing_step, run_out)
    with pytest.raises(ModelError, match=r'not enough memory on cpu for sam2\.1_hiera_tiny'):
        build_predictor(TINY, random_weights=True)


def test_an_unknown_device_or_precision_is_refused():
    with pytest.raises(ModelError, match=r"unknown device 'gpu'; there are: auto, cpu, cuda"):
        resolve_device('gpu')
    with pytest.raises(ModelError, match="unknown precision 'float16'"):
        resolve_precision('float16', torch.device('cpu'))


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a CUDA device')
def test_without_cuda_auto_means_cpu_and_float32_and_cuda_is_refused():
    assert resolve_device('auto') == torch.device('cpu')
    assert resolve_precision('auto', torch.device('cpu')) == torch.float32
    with pytest.raises(ModelError, match=r"'cuda:1' was asked for, but PyTorch .* finds no CUDA"):
        resolve_device('cuda:1')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='this machine has no CUDA device')
def test_a_cuda_device_that_does_not_exist_is_refused():
    with pytest.raises(ModelError, match=r'there are \d+ CUDA devices'):
        resolve_device('cuda:99')


def test_building_leaves_the_user_s_hydra_alone(tiny_checkpoint):
    hydra, version = GlobalHydra.instance(), VersionBase.instance()
    before = hydra.hydra, version.version_base
    try:
        hydra.hydra = None
        initialize_config_module('sam2.configs', version_base='1.3')
        mine = hydra.hydra, version.version_base
        build_predictor(with_checkpoint(tiny_checkpoint))
        build_stock_predictor(with_checkpoint(tiny_checkpoint))
        assert (hydra.hydra, version.version_base) == mine
        assert GlobalHydra.instance() is hydra
    finally:
        hydra.hydra, version.version_base = before


def test_hydra_is_restored_after_a_failure():
    before = GlobalHydra.instance().hydra
    with pytest.raises(ValueError, match='inside'), hydra_configs('sam2'):
        raise ValueError('inside')
    assert GlobalHydra.instance().hydra is before


def test_two_threads_can_build_at_once(tiny_checkpoint):
    with ThreadPoolExecutor(2) as pool:
        builds = [
            pool.submit(build_stock_predictor, with_checkpoint(tiny_checkpoint)),
            pool.submit(build_predictor, with_checkpoint(tiny_checkpoint)),
        ]
        first, second = (build.result().state_dict() for build in builds)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.skipif(not checkpoint_path(MODELS['nano']).is_file(), reason='no nano weights yet')
def test_nano_is_built_from_its_own_weights_by_stock_s_builder_too():
    ours = build_predictor(ModelConfig('nano', device='cpu')).state_dict()
    stock = build_stock_predictor(ModelConfig('nano', device='cpu')).state_dict()
    assert all(torch.equal(ours[key], value) for key, value in stock.items())


@pytest.mark.parametrize(('setting', 'passes'), [('auto', 0), ('never', 0), ('always', 1)])
def test_objects_share_a_pass_as_the_setting_says(setting: str, passes: int,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[int] = []
    forward = batching.BatchTracker.forward

    def counted(self, *arguments, **named):
        shared.append(1)
        return forward(self, *arguments, **named)

    monkeypatch.setattr(batching.BatchTracker, 'forward', counted)
    predictor = build_tracking_predictor(replace(SMALL, batching=setting))
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    features = predictor.encode(picture)
    memories = [predictor.new_memory((48, 64)) for _ in range(2)]
    for x, memory in zip((10, 40), memories, strict=True):
        click = Prompt(points_xy=np.array([[x, 20]], np.float32),
                       point_labels=np.ones(1, np.int32))
        predictor.prompt(memory, 0, features, click, clear_previous=False)
    predictor.track([TrackStep(memory, 0, features) for memory in memories])
    predictor.track([TrackStep(memory, 1, features) for memory in memories])
    assert len(shared) == passes


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(ModelError, match="batching 'mostly' is none of auto, always, never"):
        build_tracking_predictor(replace(SMALL, batching='mostly'))
