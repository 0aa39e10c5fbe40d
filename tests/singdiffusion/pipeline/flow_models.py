"""Tiny denoisers, and other models but autoencoders, of diffusers' flow pipelines, by the name of their class.

A denoiser reads latents of the autoencoder beside it and tokens of `flow_texts`: 16 wide from language models and CLIP, 32 from T5.
"""

from typing import Any

import diffusers
import torch
from diffusers.pipelines import ltx2
from torch import nn

from tests.singdiffusion.pipeline.flow_autoencoders import AUTOENCODERS
from tests.singdiffusion.pipeline.flow_texts import T5_WIDTH, WIDTH

_HEADS: dict[str, Any] = {"num_attention_heads": 2, "attention_head_dim": 8}
_ROPE_8 = {"axes_dims_rope": (4, 2, 2)}
_FLUX: dict[str, Any] = {
    **_HEADS,
    **_ROPE_8,
    "patch_size": 1,
    "in_channels": 16,
    "num_layers": 1,
    "num_single_layers": 1,
    "joint_attention_dim": T5_WIDTH,
}
_SD3: dict[str, Any] = {
    **_HEADS,
    "sample_size": 8,
    "patch_size": 1,
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 1,
    "joint_attention_dim": T5_WIDTH,
    "caption_projection_dim": 16,
    "pooled_projection_dim": 2 * WIDTH,
}
_WAN: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": T5_WIDTH,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 1,
    "cross_attn_norm": True,
    "rope_max_seq_len": 32,
}
_MADE: dict[str, nn.Module] = {}
_NORMED = {**_WAN, "qk_norm": "rms_norm_across_heads"}
_QWEN: dict[str, Any] = {
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 4,
    "num_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": WIDTH,
    "axes_dims_rope": (8, 4, 4),
}
_HUNYUAN: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 10,
    "num_layers": 1,
    "num_single_layers": 1,
    "num_refiner_layers": 1,
    "patch_size": 1,
    "patch_size_t": 1,
    "guidance_embeds": True,
    "text_embed_dim": WIDTH,
    "pooled_projection_dim": WIDTH,
    "rope_axes_dim": (2, 4, 4),
}
_COSMOS: dict[str, Any] = {
    "in_channels": 16,
    "out_channels": 16,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 1,
    "mlp_ratio": 2,
    "text_embed_dim": T5_WIDTH,
    "adaln_lora_dim": 4,
    "max_size": (4, 32, 32),
    "patch_size": (1, 2, 2),
    "rope_scale": (2.0, 1.0, 1.0),
    "concat_padding_mask": True,
    "extra_pos_embed_type": "learnable",
}
_SANA: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 4,
    "num_layers": 1,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 4,
    "cross_attention_dim": 8,
    "caption_channels": WIDTH,
    "sample_size": 32,
    "patch_size": 1,
}

CONFIGS: dict[str, dict[str, Any]] = {
    **AUTOENCODERS,
    # Denoisers of pictures.
    "AuraFlowTransformer2DModel": {
        **_HEADS, "sample_size": 8, "patch_size": 2, "in_channels": 4, "num_mmdit_layers": 1, "num_single_dit_layers": 1,
        "caption_projection_dim": 16, "joint_attention_dim": T5_WIDTH, "out_channels": 4, "pos_embed_max_size": 256,
    },
    "BriaTransformer2DModel": {**_FLUX, "axes_dims_rope": (0, 4, 4), "pooled_projection_dim": None},
    "BriaFiboTransformer2DModel": {
        **_FLUX, "axes_dims_rope": (0, 4, 4), "pooled_projection_dim": None, "joint_attention_dim": 2 * WIDTH,
        "text_encoder_dim": WIDTH,
    },
    "BriaFibo2Transformer2DModel": {
        "in_channels": 4, "patch_size": 2, "dim": 32, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 2, "cap_feat_dim": WIDTH,
        "injection_layer_ids": (0, 1), "perceiver_num_layers": 1, "min_num_gist_tokens": 4, "max_num_gist_tokens": 8, "gist_step": 4,
        "gist_min_text_len": 4, "gist_max_text_len": 16, "axes_dims": (4, 6, 6), "axes_lens": (256, 64, 64),
    },
    "ChromaTransformer2DModel": {
        **_FLUX, "approximator_hidden_dim": 16, "approximator_layers": 1, "approximator_num_channels": 16,
    },
    "CogView4Transformer2DModel": {
        **_HEADS, "patch_size": 2, "in_channels": 4, "num_layers": 1, "out_channels": 4, "text_embed_dim": WIDTH,
        "time_embed_dim": 8, "condition_dim": 4,
    },
    "DreamLiteUNetModel": {
        "sample_size": 8, "in_channels": 4, "out_channels": 4,
        "down_block_types": ("DreamLiteCrossAttnNoSelfAttnDownBlock2D", "DreamLiteCrossAttnDownBlock2D"),
        "up_block_types": ("DreamLiteCrossAttnUpBlock2D", "DreamLiteUpBlock2D"), "block_out_channels": (8, 16),
        "cross_attention_dim": WIDTH, "attention_head_dim": 8, "layers_per_block": 1, "norm_num_groups": 4,
        "transformer_layers_per_block": 1,
    },
    "Flux2Transformer2DModel": {
        **_FLUX, "attention_head_dim": 16, "axes_dims_rope": (4, 4, 4, 4), "timestep_guidance_channels": 32,
        "joint_attention_dim": WIDTH,
    },
    "FluxTransformer2DModel": {**_FLUX, "guidance_embeds": True, "pooled_projection_dim": WIDTH},
    "FluxControlNetModel": {**_FLUX, "guidance_embeds": True, "pooled_projection_dim": WIDTH},
    "GlmImageTransformer2DModel": {
        **_HEADS, "patch_size": 2, "in_channels": 4, "out_channels": 4, "num_layers": 1, "text_embed_dim": T5_WIDTH,
        "time_embed_dim": 16, "condition_dim": 8, "prior_vq_quantizer_codebook_size": 32,
    },
    "HiDreamImageTransformer2DModel": {
        "patch_size": 2, "in_channels": 4, "out_channels": 4, "num_layers": 1, "num_single_layers": 1,
        "attention_head_dim": 8, "num_attention_heads": 2, "caption_channels": [T5_WIDTH, WIDTH], "text_emb_dim": 2 * WIDTH,
        "num_routed_experts": 2, "num_activated_experts": 1, "axes_dims_rope": (4, 2, 2), "max_resolution": (32, 32),
        "llama_layers": (0, 1),
    },
    "HunyuanImageTransformer2DModel": {
        "in_channels": 4, "out_channels": 4, "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1,
        "num_single_layers": 1, "num_refiner_layers": 1, "patch_size": (1, 1), "guidance_embeds": False,
        "text_embed_dim": WIDTH, "text_embed_2_dim": T5_WIDTH, "rope_axes_dim": (4, 4),
    },
    "JoyImageEditTransformer3DModel": {
        "patch_size": [1, 2, 2], "in_channels": 16, "hidden_size": 32, "num_attention_heads": 2, "text_dim": WIDTH,
        "num_layers": 1, "rope_dim_list": [4, 6, 6], "theta": 256,
    },
    "JoyImageEditPlusTransformer3DModel": {
        "patch_size": [1, 2, 2], "in_channels": 16, "hidden_size": 32, "num_attention_heads": 2, "text_dim": WIDTH,
        "num_layers": 1, "rope_dim_list": [4, 6, 6], "theta": 256,
    },
    "Krea2Transformer2DModel": {
        **_HEADS, **_ROPE_8, "in_channels": 16, "num_layers": 1, "num_key_value_heads": 2, "intermediate_size": 32,
        "timestep_embed_dim": 8, "text_hidden_dim": WIDTH, "num_text_layers": 2, "text_num_attention_heads": 2,
        "text_num_key_value_heads": 1, "text_intermediate_size": 16, "num_layerwise_text_blocks": 1,
        "num_refiner_text_blocks": 1, "rope_theta": 1000.0,
    },
    "Lumina2Transformer2DModel": {
        "sample_size": 8, "patch_size": 2, "in_channels": 4, "hidden_size": 8, "num_layers": 1, "num_attention_heads": 1,
        "num_kv_heads": 1, "multiple_of": 16, "scaling_factor": 1.0, "axes_dim_rope": [4, 2, 2], "cap_feat_dim": WIDTH,
    },
    "LuminaNextDiT2DModel": {
        "sample_size": 8, "patch_size": 2, "in_channels": 4, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2,
        "num_kv_heads": 1, "multiple_of": 16, "learn_sigma": True, "qk_norm": True, "cross_attention_dim": WIDTH,
        "scaling_factor": 1.0,
    },
    "LongCatImageTransformer2DModel": {**_FLUX, "joint_attention_dim": WIDTH, "pooled_projection_dim": WIDTH},
    "NucleusMoEImageTransformer2DModel": {**_QWEN, "moe_enabled": False, "capacity_factors": [8.0]},
    "OmniGenTransformer2DModel": {
        "hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 32, "num_layers": 1,
        "in_channels": 4, "time_step_dim": 4, "rope_scaling": {"long_factor": [1, 2], "short_factor": [1, 2]},
    },
    "OvisImageTransformer2DModel": {**_FLUX, "out_channels": 16, "joint_attention_dim": WIDTH},
    "PRXTransformer2DModel": {
        "patch_size": 1, "in_channels": 4, "context_in_dim": WIDTH, "hidden_size": 8, "mlp_ratio": 2.0, "num_heads": 2,
        "depth": 1, "axes_dim": [2, 2],
    },
    "QwenImageTransformer2DModel": _QWEN,
    "QwenImageControlNetModel": _QWEN,
    "SanaTransformer2DModel": _SANA,
    "SanaControlNetModel": _SANA,
    "SD3Transformer2DModel": _SD3,
    "SD3ControlNetModel": _SD3,
    "ZImageTransformer2DModel": {
        "all_patch_size": (2,), "all_f_patch_size": (1,), "in_channels": 4, "dim": 32, "n_layers": 1, "n_refiner_layers": 1,
        "n_heads": 2, "n_kv_heads": 2, "norm_eps": 1e-5, "qk_norm": True, "cap_feat_dim": WIDTH, "rope_theta": 256.0,
        "t_scale": 1000.0, "axes_dims": [8, 4, 4], "axes_lens": [256, 32, 32],
    },
    # Denoisers of videos.
    "AnyFlowTransformer3DModel": {**_WAN, "gate_value": 0.25, "deltatime_type": "r"},
    "AnyFlowFARTransformer3DModel": {
        **_WAN, "compressed_patch_size": (1, 4, 4), "full_chunk_limit": 3, "gate_value": 0.25, "deltatime_type": "r",
        "chunk_partition": (1, 1, 1),
    },
    "ChronoEditTransformer3DModel": {**_NORMED, "in_channels": 36, "image_dim": 4},
    "CosmosTransformer3DModel": _COSMOS,
    "EasyAnimateTransformer3DModel": {
        "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "time_embed_dim": 2,
        "text_embed_dim": WIDTH, "num_layers": 1, "sample_width": 8, "sample_height": 8, "patch_size": 2,
    },
    "HeliosTransformer3DModel": {
        **{key: value for key, value in _NORMED.items() if key != "rope_max_seq_len"}, "num_layers": 2,
        "rope_dim": (4, 4, 4), "has_multi_term_memory_patch": True, "guidance_cross_attn": True,
        "zero_history_timestep": True, "is_amplify_history": False,
    },
    "HunyuanVideoTransformer3DModel": _HUNYUAN,
    "HunyuanVideoFramepackTransformer3DModel": {
        **_HUNYUAN, "patch_size": 2, "image_condition_type": None, "has_image_proj": True, "image_proj_dim": 4,
        "has_clean_x_embedder": True,
    },
    "HunyuanVideo15Transformer3DModel": {
        "in_channels": 9, "out_channels": 4, "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1,
        "num_refiner_layers": 1, "mlp_ratio": 2.0, "patch_size": 1, "patch_size_t": 1, "text_embed_dim": WIDTH,
        "text_embed_2_dim": T5_WIDTH, "image_embed_dim": 4, "rope_axes_dim": (2, 2, 4), "target_size": 16,
        "task_type": "t2v",
    },
    "Kandinsky5Transformer3DModel": {
        "in_visual_dim": 4, "in_text_dim": WIDTH, "in_text_dim2": WIDTH, "time_dim": 16, "out_visual_dim": 4,
        "patch_size": (1, 2, 2), "model_dim": 16, "ff_dim": 32, "num_text_blocks": 1, "num_visual_blocks": 1,
        "axes_dims": (1, 1, 2), "visual_cond": False, "attention_type": "regular",
    },
    "LTXVideoTransformer3DModel": {
        "in_channels": 8, "out_channels": 8, "patch_size": 1, "patch_size_t": 1, "num_attention_heads": 2,
        "attention_head_dim": 8, "cross_attention_dim": 16, "num_layers": 1, "caption_channels": T5_WIDTH,
    },
    "MochiTransformer3DModel": {
        "patch_size": 2, "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "pooled_projection_dim": 16,
        "in_channels": 12, "out_channels": None, "qk_norm": "rms_norm", "text_embed_dim": T5_WIDTH, "time_embed_dim": 4,
        "activation_fn": "swiglu", "max_sequence_length": 16,
    },
    "MotifVideoTransformer3DModel": {
        "in_channels": 33, "out_channels": 16, "num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 1,
        "num_single_layers": 1, "mlp_ratio": 4.0, "patch_size": 1, "patch_size_t": 1, "qk_norm": "rms_norm",
        "text_embed_dim": WIDTH, "rope_axes_dim": (4, 4, 4),
    },
    "SanaVideoTransformer3DModel": {
        **_SANA, "in_channels": 16, "out_channels": 16, "attention_head_dim": 12, "cross_attention_head_dim": 12,
        "cross_attention_dim": 24, "patch_size": (1, 2, 2), "sample_size": 8, "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 32,
    },
    "SkyReelsV2Transformer3DModel": _NORMED,
    "WanTransformer3DModel": _NORMED,
    "WanVACETransformer3DModel": {**_NORMED, "num_layers": 2, "vace_layers": [0], "vace_in_channels": 96},
    "WanAnimateTransformer3DModel": {
        **_NORMED, "in_channels": 36, "latent_channels": 16, "image_dim": 4, "motion_encoder_channel_sizes": {"4": 16, "8": 16, "16": 16},
        "motion_encoder_size": 16, "motion_style_dim": 8, "motion_dim": 4, "motion_encoder_dim": 16,
        "face_encoder_hidden_dim": 16, "face_encoder_num_heads": 2, "inject_face_latents_blocks": 1,
    },
    # Those of single pipelines.
    "CosmosControlNetModel": {
        **{name: value for name, value in _COSMOS.items() if name not in ("out_channels", "num_layers", "concat_padding_mask")},
        "n_controlnet_blocks": 1, "in_channels": 18, "latent_channels": 18, "model_channels": 32,
    },
    "Ideogram4Transformer2DModel": {
        "in_channels": 16, "num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2, "intermediate_size": 32,
        "adaln_dim": 16, "llm_features_dim": 13 * WIDTH, "mrope_section": (4, 2, 2),
    },
    "ErnieImageTransformer2DModel": {
        "hidden_size": 32, "num_attention_heads": 2, "num_layers": 1, "ffn_hidden_size": 32, "in_channels": 16,
        "out_channels": 16, "text_in_dim": WIDTH, "rope_axes_dim": (8, 4, 4),
    },
    "QwenImage21Transformer2DModel": {
        "in_channels": 4, "out_channels": 4, "num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2,
        "context_in_dim": WIDTH, "axes_dims_rope": (4, 2, 2),
    },
    "ZImageControlNetModel": {
        "control_layers_places": [0], "control_refiner_layers_places": [0], "control_in_dim": 4,
        "add_control_noise_refiner": "control_noise_refiner", "dim": 32, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2,
    },
    "Cosmos3OmniTransformer": {
        "head_dim": 6, "hidden_act": "relu2", "hidden_size": 6, "intermediate_size": 12, "latent_channel": 16,
        "latent_patch_size": 1, "num_attention_heads": 1, "num_hidden_layers": 1, "num_key_value_heads": 1,
        "patch_latent_dim": 16, "qk_norm_for_text": False, "rope_axes_dim": [1, 1, 1], "vocab_size": 320,
    },
    "Kandinsky6Transformer3DModel": {
        "in_visual_dim": 4, "in_text_dim": WIDTH, "in_text_dim2": WIDTH, "time_dim": 16, "out_visual_dim": 4,
        "model_dim": 16, "ff_dim": 32, "num_text_blocks": 1, "num_visual_blocks": 1, "axes_dims": (4, 2, 2),
    },
    # LTX 2: video with sound.
    "LTX2VideoTransformer3DModel": {
        "in_channels": 4, "out_channels": 4, "patch_size": 1, "patch_size_t": 1, "num_attention_heads": 2,
        "attention_head_dim": 8, "cross_attention_dim": 16, "audio_in_channels": 4, "audio_out_channels": 4,
        "audio_num_attention_heads": 2, "audio_attention_head_dim": 4, "audio_cross_attention_dim": 8, "num_layers": 1,
        "qk_norm": "rms_norm_across_heads", "caption_channels": WIDTH, "rope_double_precision": False, "rope_type": "split",
    },
    "LTX2TextConnectors": {
        "caption_channels": WIDTH, "text_proj_in_factor": 3, "video_connector_num_attention_heads": 2,
        "video_connector_attention_head_dim": 8, "video_connector_num_layers": 1,
        "video_connector_num_learnable_registers": None, "audio_connector_num_attention_heads": 2,
        "audio_connector_attention_head_dim": 8, "audio_connector_num_layers": 1,
        "audio_connector_num_learnable_registers": None, "connector_rope_base_seq_len": 32, "rope_theta": 10000.0,
        "rope_double_precision": False, "causal_temporal_positioning": False, "rope_type": "split",
    },
    "LTX2Vocoder": {
        "in_channels": 16, "hidden_channels": 32, "out_channels": 2, "upsample_kernel_sizes": [4, 4],
        "upsample_factors": [2, 2], "resnet_kernel_sizes": [3], "resnet_dilations": [[1, 3, 5]], "output_sampling_rate": 16000,
    },
}  # fmt: skip


def options(name: str, **changes: Any) -> dict[str, Any]:
    """The arguments of a model with some of them changed; one that the class does not take fails there."""
    return {**CONFIGS[name], **changes}


def model(name: str, **changes: Any) -> nn.Module:
    """A model by the name of its class in diffusers, with arguments changed; made once."""
    key = f"{name} {sorted(changes.items())}"
    if key not in _MADE:
        kind = getattr(diffusers, name, None) or getattr(ltx2, name)
        torch.manual_seed(2)
        made = kind(**options(name, **changes)).eval()
        for parameter in made.parameters():  # gates and last layers that start at zero would hide what is fed to them
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        _MADE[key] = made
    return _MADE[key]
