from resampling import fewer_resamplings  # noqa: F401
