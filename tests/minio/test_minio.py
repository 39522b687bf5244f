"""MinIO itself: the contract of a store, refusals by role, promotion, scrub, and the decision with stock tools.

Most of it are the tests of other folders with another server behind the same fixture. Not part of `make test`
(it needs a `minio` program, which PyPI does not have): `make test-minio`.
"""

import pytest

import placet.demo.world as stage
from contract import test_object_stores as stores_tests
from e2e import test_decision as decision
from governance import test_scrub_real as scrub_tests
from placet.demo import cast
from placet.ports import StoreTraits
from placet.testing.minio import Minio

pytestmark = pytest.mark.minio


class TestMinio(stores_tests._OnSeaweed):
    def test_its_traits(self, stores):
        assert stores.store.traits() == StoreTraits(
            part_copy_sha256=True,
            versions=False,
            verifies_sha256=True,
            conditional_put=True,
            conditional_complete=True,
        )


class TestMinioVersioned(stores_tests._OnSeaweed):
    bucket = "versioned"

    def test_its_traits(self, stores):
        assert stores.store.traits().versions


class TestMinioWithoutTraits(stores_tests.TestSeaweedWithoutTraits):
    pass


TestVersionCopy = stores_tests.TestVersionCopy
test_a_source_that_the_target_cannot_read_is_streamed = (
    stores_tests.test_a_source_that_the_target_cannot_read_is_streamed
)
test_what_is_denied_in_publication_is_tried = stores_tests.test_what_is_denied_in_publication_is_tried
test_old_versions_are_hidden_from_readers = stores_tests.test_old_versions_are_hidden_from_readers
test_a_reader_shows_no_traits_and_writes_nothing = stores_tests.test_a_reader_shows_no_traits_and_writes_nothing

place, scrub = scrub_tests.place, scrub_tests.scrub
test_real_damage_is_found_repaired_and_explained = scrub_tests.test_real_damage_is_found_repaired_and_explained
test_a_researcher_scrubs_from_a_clone = scrub_tests.test_a_researcher_scrubs_from_a_clone


@pytest.fixture(scope="module")
def world(tmp_path_factory, minio):
    """The demo's stage, with MinIO for its store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "Seaweed", Minio)
        with stage.World.start(stage.fresh_folder(tmp_path_factory.mktemp("world") / "stack")) as made:
            cast.make_keys(made)
            cast.begin(made)
            cast.settle(made)
            yield made


test_the_decision_works_verbatim_with_stock_tools = decision.test_the_decision_works_verbatim_with_stock_tools
