"""What the registry's client refuses before it asks anything; the rest is tests/integration."""

import pytest

from producer.errors import SettingsError
from producer.schema.registry import Registry


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("ftp://joe:s3cret@registry", {}),
        ("registry:8081", {}),
        ("http://joe:s3cret@registry", {"basic_auth": "joe:s3cret"}),
        ("http://registry", {"basic_auth": "s3cret"}),
        ("http://registry", {"ssl": {"truststore.location": "x"}}),
        ("http://registry", {"ssl": {"ca.location": "/no/such/file"}}),
    ],
)
def test_unusable_settings(url: str, arguments: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as caught:
        Registry(url, **arguments)  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "schema.registry" in caught.value.remedy


def test_no_secret_in_its_repr() -> None:
    registry = Registry("http://joe:s3cret@registry")
    assert "s3cret" not in repr(registry)
    registry.close()
