"""No bars but our own, also while the libraries open what they are asked for later."""

from importlib import import_module

from rglcd_pipelines.progress import hide_library_bars


def quiet_libraries() -> None:
    for library in ("diffusers", "transformers"):
        import_module(f"{library}.utils.logging")  # bars can only be hidden of what is imported
    hide_library_bars()
