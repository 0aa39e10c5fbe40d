"""Tiny autoencoders of diffusers' flow pipelines, by the name of their class."""

from typing import Any

AUTOENCODERS: dict[str, dict[str, Any]] = {
    "AutoencoderKL": {
        "latent_channels": 4, "sample_size": 16, "block_out_channels": (4, 8), "norm_num_groups": 2,
        "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
        "shift_factor": 0.0609, "scaling_factor": 1.5035,
    },
    "AutoencoderDC": {
        "in_channels": 3, "latent_channels": 4, "attention_head_dim": 2, "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
        "decoder_block_types": ("ResBlock", "EfficientViTBlock"), "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8), "encoder_qkv_multiscales": ((), (5,)), "decoder_qkv_multiscales": ((), (5,)),
        "encoder_layers_per_block": (1, 1), "decoder_layers_per_block": (1, 1), "downsample_block_type": "conv",
        "upsample_block_type": "interpolate", "decoder_norm_types": "rms_norm", "decoder_act_fns": "silu",
        "scaling_factor": 0.41407,
    },
    "AutoencoderKLFlux2": {
        "latent_channels": 4, "sample_size": 16, "block_out_channels": (4, 8), "norm_num_groups": 2, "layers_per_block": 1,
        "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
    },
    "AutoencoderKLHunyuanImage": {
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": (32, 32), "layers_per_block": 1,
        "scaling_factor": 0.476986, "spatial_compression_ratio": 2, "sample_size": 16,
    },
    "AutoencoderKLHunyuanVideo": {
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "down_block_types": ("HunyuanVideoDownBlock3D",) * 4,
        "up_block_types": ("HunyuanVideoUpBlock3D",) * 4, "block_out_channels": (8,) * 4, "layers_per_block": 1,
        "norm_num_groups": 4, "scaling_factor": 0.476986, "spatial_compression_ratio": 8, "temporal_compression_ratio": 4,
    },
    "AutoencoderKLHunyuanVideo15": {
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": (16, 16), "layers_per_block": 1,
        "spatial_compression_ratio": 4, "temporal_compression_ratio": 2, "downsample_match_channel": False,
        "upsample_match_channel": False,
    },
    "AutoencoderKLLTXVideo": {
        "latent_channels": 8, "block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4,
        "layers_per_block": (1,) * 5, "decoder_layers_per_block": (1,) * 5,
        "spatio_temporal_scaling": (True, True, False, False), "decoder_spatio_temporal_scaling": (True, True, False, False),
        "decoder_inject_noise": (False,) * 5, "upsample_residual": (False,) * 4, "upsample_factor": (1,) * 4,
        "timestep_conditioning": False, "patch_size": 1, "patch_size_t": 1,
    },
    "AutoencoderKLMagvit": {
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
        "down_block_types": ("SpatialDownBlock3D", *("SpatialTemporalDownBlock3D",) * 3),
        "up_block_types": ("SpatialUpBlock3D", *("SpatialTemporalUpBlock3D",) * 3), "block_out_channels": (8,) * 4,
        "spatial_group_norm": False,
    },
    "AutoencoderKLMochi": {
        "latent_channels": 12, "out_channels": 3, "encoder_block_out_channels": (32,) * 4,
        "decoder_block_out_channels": (32,) * 4, "layers_per_block": (1,) * 5,
    },
    "AutoencoderKLQwenImage": {
        "base_dim": 8, "z_dim": 4, "dim_mult": [1, 1, 1], "num_res_blocks": 1, "temperal_downsample": [False, True],
        "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4,
    },
    "AutoencoderKLWan": {
        "base_dim": 3, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1, "temperal_downsample": [False, True, True],
    },
    "AutoencoderTiny": {
        "encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8), "num_encoder_blocks": (1, 1),
        "num_decoder_blocks": (1, 1), "latent_channels": 4,
    },
    "AutoencoderKLHunyuanImageRefiner": {
        "latent_channels": 4, "block_out_channels": (16, 16), "layers_per_block": 1, "spatial_compression_ratio": 2,
        "temporal_compression_ratio": 1, "downsample_match_channel": False, "upsample_match_channel": False,
    },
    "AutoencoderKLQwenImage21": {
        "base_dim": 8, "decoder_base_dim": 8, "z_dim": 4, "dim_mult": [1, 1, 1], "num_res_blocks": 1,
        "temperal_downsample": [False, True], "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4, "in_channels": 3,
        "out_channels": 3, "scale_factor_temporal": 2, "scale_factor_spatial": 4,
    },
    "AutoencoderKLLTX2Video": {
        "latent_channels": 4, "block_out_channels": (8,), "decoder_block_out_channels": (8,), "layers_per_block": (1,),
        "decoder_layers_per_block": (1, 1), "spatio_temporal_scaling": (True,), "decoder_spatio_temporal_scaling": (True,),
        "decoder_inject_noise": (False, False), "downsample_type": ("spatial",), "upsample_residual": (False,),
        "upsample_factor": (1,), "timestep_conditioning": False, "patch_size": 1, "patch_size_t": 1,
        "encoder_causal": True, "decoder_causal": False,
    },
    "AutoencoderKLLTX2Audio": {
        "base_channels": 4, "output_channels": 2, "ch_mult": (1,), "num_res_blocks": 1, "attn_resolutions": None,
        "in_channels": 2, "resolution": 32, "latent_channels": 2, "norm_type": "pixel", "causality_axis": "height",
        "dropout": 0.0, "mid_block_add_attention": False, "sample_rate": 16000, "mel_hop_length": 160, "is_causal": True,
        "mel_bins": 8,
    },
}  # fmt: skip
