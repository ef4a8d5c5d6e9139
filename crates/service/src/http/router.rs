//! Which route a path names, and which methods that route knows.
//!
//! Two tables, one for the built-in site and one for the admin pages. Never decodes: the path is compared as the peer sent
//! it (`proto` has refused dot segments, encoded or not, before it comes here).

use matchit::Router;
use proto::http1::Method;

/// Something a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The page with the live figures, and the files that belong to it.
    Home,
    Style,
    Script,
    Live,
    Ping,
    Echo,
    Bytes,
    User,
    Health,
    Ready,
    Metrics,
    Caps,
}

/// A route that was found, with the variable part of its path (still encoded) or an empty string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found<'p> {
    pub(crate) route: Route,
    pub(crate) variable: &'p str,
}

const PING: &str = "/ping";

/// The routes of one kind of listener.
pub(crate) struct Table {
    /// It has [`PING`], which is asked for most and compared before the tree is walked: the walk takes 30 ns.
    has_ping: bool,
    tree: Router<Route>,
}

impl Table {
    /// The built-in site.
    pub(crate) fn site() -> Table {
        Table::new(&[
            (PING, Route::Ping),
            ("/", Route::Home),
            ("/page.css", Route::Style),
            ("/page.js", Route::Script),
            ("/live.json", Route::Live),
            ("/echo", Route::Echo),
            ("/bytes/{count}", Route::Bytes),
            ("/users/{id}", Route::User),
            ("/health", Route::Health),
        ])
    }

    /// The admin pages.
    pub(crate) fn admin() -> Table {
        Table::new(&[
            ("/metrics", Route::Metrics),
            ("/health", Route::Health),
            ("/ready", Route::Ready),
            ("/caps", Route::Caps),
        ])
    }

    fn new(routes: &[(&'static str, Route)]) -> Table {
        let mut tree = Router::new();
        for (path, route) in routes {
            tree.insert(*path, *route).expect("the tables above have no two routes for one path");
        }
        Table { has_ping: routes[0].0 == PING, tree }
    }

    /// Whether the path is that of [`Route::Ping`], and there is one.
    #[inline]
    pub(crate) fn is_ping(&self, path: &str) -> bool {
        path == PING && self.has_ping
    }

    /// The route of a path.
    #[inline]
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<Found<'p>> {
        if self.is_ping(path) {
            return Some(Found { route: Route::Ping, variable: "" });
        }
        let found = self.tree.at(path).ok()?;
        let variable = found.params.iter().next().map_or("", |(_, value)| value);
        Some(Found { route: *found.value, variable })
    }
}

impl Route {
    /// The value of `Allow`.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Route::Echo => "POST, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether the route serves a method. OPTIONS is answered for every route alike and is not asked for here.
    #[inline]
    pub(crate) fn serves(self, method: Method<'_>) -> bool {
        match self {
            Route::Echo => method == Method::Post,
            _ => matches!(method, Method::Get | Method::Head),
        }
    }

    /// Whether the answer tells what only the machine's own user may know, so that a page of another site must not be able
    /// to read it by a name that it made resolve here.
    pub(crate) fn is_private(self) -> bool {
        matches!(self, Route::Home | Route::Live | Route::Ready | Route::Metrics | Route::Caps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &Table, path: &str, expected: Option<(Route, &str)>) {
        assert_eq!(table.find(path).map(|found| (found.route, found.variable)), expected, "{path}");
    }

    #[test]
    fn the_site_knows_its_paths_and_no_others() {
        let site = Table::site();
        check(&site, "/", Some((Route::Home, "")));
        check(&site, "/ping", Some((Route::Ping, "")));
        check(&site, "/live.json", Some((Route::Live, "")));
        check(&site, "/bytes/12", Some((Route::Bytes, "12")));
        check(&site, "/users/a%2Fb", Some((Route::User, "a%2Fb")));
        for path in [
            "",
            "*",
            "/ping/",
            "//",
            "/PING",
            "/bytes",
            "/bytes/",
            "/bytes/1/2",
            "/users/",
            "/metrics",
            "/caps",
        ] {
            check(&site, path, None);
        }
    }

    #[test]
    fn the_admin_pages_are_not_the_site() {
        let admin = Table::admin();
        check(&admin, "/metrics", Some((Route::Metrics, "")));
        check(&admin, "/ready", Some((Route::Ready, "")));
        for path in ["/", "/ping", "/echo", "/bytes/1"] {
            check(&admin, path, None);
        }
    }

    #[test]
    fn what_allow_says_is_what_is_served() {
        let methods = [
            Method::Get,
            Method::Head,
            Method::Post,
            Method::Put,
            Method::Delete,
            Method::Patch,
            Method::Trace,
        ];
        for route in [Route::Home, Route::Echo, Route::User, Route::Metrics] {
            for method in methods.into_iter().chain([Method::Other("PURGE")]) {
                let allowed = route.allow().split(", ").any(|name| name == method.name());
                assert_eq!(route.serves(method), allowed, "{route:?} {method:?}");
            }
        }
    }
}
