"""Noise schedule, ODE solvers, consistency function, guidance, samplers, teachers, autoencoders."""
