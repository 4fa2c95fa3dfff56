"""The settings: the only reader of environment and files in the package.

Room: settings (IO: files, environment).
"""

from producer.settings.load import Loaded, asked_log_format, load_settings
from producer.settings.model import Settings

__all__ = ["Loaded", "Settings", "asked_log_format", "load_settings"]
