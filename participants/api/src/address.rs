//! The URL of a store, as a person writes it.

/// What is wrong with a URL whose user or password holds a character that ends them there. Parsed as it
/// stands, a part of the password would be taken for the host's port or the database, and be shown
/// wherever those are. A `@` is no such character: the last one counts.
///
/// It says nothing of what the URL holds.
pub fn unencoded(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("://")?;
    if rest.contains('#') {
        return Some("a # in the user or the password is to be percent-encoded, as %23");
    }
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    let path = before_query.split_once('/').map(|(_, path)| path);
    if path.is_some_and(|path| path.contains('@')) {
        return Some("a / in the user or the password is to be percent-encoded, as %2F");
    }
    // Options are `name=value`; in a value an @ is nothing special.
    let name = query.and_then(|query| query.split('=').next());
    if name.is_some_and(|name| name.contains('@')) {
        return Some("a ? in the user or the password is to be percent-encoded, as %3F");
    }
    None
}

/// Whether a URL that is not [`unencoded`] gives its user a password.
pub fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_password_early_is_named() {
        for (password, said) in [
            ("1#2", "%23"),
            ("#", "%23"),
            ("1/2", "%2F"),
            ("a//b", "%2F"),
            ("1/b?c", "%3F"),
            ("1?2", "%3F"),
            ("a?b/c", "%3F"),
        ] {
            for url in [
                format!("mysql://me:{password}@db.example:3306/shop"),
                format!("redis://:{password}@h"),
            ] {
                let told = unencoded(&url);
                assert!(
                    told.is_some_and(|told| told.contains(said)),
                    "{url}: {told:?}"
                );
            }
        }
    }

    #[test]
    fn other_urls_are_left_to_their_parsers() {
        for url in [
            "mysql://me:a@b@db:3306/shop",
            "mysql://me:%23%2F%3F@db/shop",
            "mysql://db:3306/shop?ssl-ca=/etc/ssl/a@b.pem",
            "mysql://me@db/shop?socket=/run/mysql@1/s",
            "redis://127.0.0.1:6379/0",
            "redis+unix:///run/redis.sock?user=a&pass=b",
            "nonsense",
        ] {
            assert_eq!(unencoded(url), None, "{url}");
        }
    }
}
