from __future__ import annotations

import pytest

import torchest


def test_feeding_is_refused_with_the_reason_and_the_way_out():
    with pytest.raises(TypeError, match=r"no placeholders to feed\. Give values .* as features"):
        torchest.FeedFnHook(dict)
