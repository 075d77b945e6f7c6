"""The latent proxy reward model: a CLIP that reads latents, its pretraining and its preference matching."""
