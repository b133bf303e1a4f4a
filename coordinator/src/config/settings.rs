//! Every setting that there is: one table, of which `tandem config print` and the manual's list are made, and
//! which tests compare with what is read, with its defaults, and with the example file.

mod of_coordinators;
mod of_stores;

/// Where a setting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
pub(crate) enum Section {
    Coordinator,
    Limits,
    Retention,
    Attribute,
    Tls,
    Access,
    Mysql,
    Statement,
    Redis,
    SidecarEndpoint,
    Sidecar,
}

impl Section {
    /// Its heading, with NAME for what a person names.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Section::Coordinator => "[coordinator]",
            Section::Limits => "[limits]",
            Section::Retention => "[retention]",
            Section::Attribute => "[attributes.NAME]",
            Section::Tls => "[tls]",
            Section::Access => "[access]",
            Section::Mysql => "[participants.NAME.mysql]",
            Section::Statement => "[[participants.NAME.mysql.statements]]",
            Section::Redis => "[participants.NAME.redis]",
            Section::SidecarEndpoint => "[participants.NAME.sidecar]",
            Section::Sidecar => "[sidecar]",
        }
    }

    /// Its settings, in the order in which they are shown.
    pub(crate) fn settings(self) -> impl Iterator<Item = &'static Setting> {
        all().filter(move |one| one.section == self)
    }
}

/// What a setting is where a file says nothing; each as TOML has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// A file has to say it: for example.
    Required(&'static str),
    /// This.
    Is(&'static str),
    /// Nothing, which no value stands for: what it could be.
    Nothing(&'static str),
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) section: Section,
    pub(crate) name: &'static str,
    pub(crate) unsaid: Unsaid,
    /// Least and most, or what it may be, for a person.
    pub(crate) range: &'static str,
    /// What it does: a clause.
    pub(crate) what: &'static str,
}

const fn setting(
    section: Section,
    name: &'static str,
    unsaid: Unsaid,
    range: &'static str,
    what: &'static str,
) -> Setting {
    Setting {
        section,
        name,
        unsaid,
        range,
        what,
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    of_coordinators::SETTINGS.iter().chain(of_stores::SETTINGS)
}
