import sys

import pytest

from tfdicom.export_options import ExportOptions


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "gif"}, "choose one of png, nifti"),
        ({"image_values": "raw"}, "choose one of window, stored"),
        ({"mask_form": "x"}, "choose one of planes, label_map"),
        ({"format": "nifti", "image_values": "stored"}, "only with format='png'"),
    ],
)
def test_what_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        ExportOptions(**fields)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
