//! The contract test suites of stores, run on the PostgreSQL store, and comparisons with the in-memory store.

use crate::server::world;

longhaul_testkit::store_suite!(world);

mod model {
    use crate::server::world;

    longhaul_testkit::model_suite!(world, 8);
}

mod restoring {
    use crate::server::restoring_world;

    longhaul_testkit::restoring_store_suite!(restoring_world);
}

mod leased {
    use crate::server::leased_world;

    longhaul_testkit::leased_store_suite!(leased_world);
}

mod reopened {
    use crate::server::world;

    longhaul_testkit::durable_store_suite!(world);
}

mod connected {
    use crate::server::cut_world;

    longhaul_testkit::connected_store_suite!(cut_world);
}
