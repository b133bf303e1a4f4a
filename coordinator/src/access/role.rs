//! What a caller may be, and what each call takes.

/// What a caller may do. Configuration files and the manual have the names in snake_case.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Deserialize,
    strum::Display,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Submits purchases, and asks for one whose id it knows.
    Client,
    /// Calls a sidecar as a coordinator does.
    Participant,
    /// Looks at everything and changes nothing.
    Operator,
    /// Looks, and retries, repairs and settles.
    OperatorAdmin,
}

impl Role {
    /// Whether who has this role may do what takes the other.
    pub fn includes(self, needed: Role) -> bool {
        self == needed || (self, needed) == (Role::OperatorAdmin, Role::Operator)
    }
}

/// What a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// To be named by `[access]` or the tokens file, with whatever role.
    ToBeNamed,
    /// The role.
    Role(Role),
}

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// What the call of a path, `/SERVICE/METHOD`, takes; `None` if tandem serves none of this path.
pub fn needs(path: &str) -> Option<Needs> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let role = match (service, method) {
        ("tandem.v1.PurchaseService", "SubmitPurchase" | "GetPurchase") => Role::Client,
        (
            "tandem.v1.OperatorService",
            "Audit" | "GetStock" | "GetTransaction" | "ListParticipants" | "ListPurchases"
            | "ListTransactions",
        ) => Role::Operator,
        (
            "tandem.v1.OperatorService",
            "RepairTransaction" | "RetryParticipant" | "RetryTransaction" | "SettleTransaction",
        ) => Role::OperatorAdmin,
        (
            "tandem.v1.ParticipantService",
            "Audit" | "Commit" | "Describe" | "Enlist" | "Forget" | "GetStock" | "Inspect"
            | "ListPrepared" | "Look" | "Prepare" | "Recall" | "Reconnect" | "Repair" | "RollBack",
        ) => Role::Participant,
        (HEALTH, "Check" | "Watch") => return Some(Needs::ToBeNamed),
        (service, "ServerReflectionInfo") if REFLECTION.contains(&service) => {
            return Some(Needs::ToBeNamed);
        }
        _ => return None,
    };
    Some(Needs::Role(role))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use prost::Message;
    use prost_types::FileDescriptorSet;
    use strum::VariantArray;

    use super::*;
    use crate::manual;

    /// The path of every call that is served anywhere.
    pub(crate) fn paths() -> Vec<String> {
        let sets = [
            tandem_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let files = sets.map(|set| FileDescriptorSet::decode(set).unwrap().file);
        let mut paths = Vec::new();
        for file in files.into_iter().flatten() {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    paths.push(format!("/{package}.{service}/{}", method.name()));
                }
            }
        }
        paths
    }

    #[test]
    fn every_call_takes_something() {
        let paths = paths();
        assert!(paths.len() > 25, "{paths:?}");
        for path in paths {
            assert!(needs(&path).is_some(), "{path} is in no role's list");
        }
        for none in [
            "",
            "/",
            "/tandem.v1.PurchaseService/",
            "/tandem.v1.OperatorService/Stop",
        ] {
            assert_eq!(needs(none), None, "{none:?}");
        }
    }

    /// The manual's table has each role with its calls, and nothing else.
    #[test]
    fn manual_lists_what_each_role_may_call() {
        let rows = manual::rows("Who may do what");
        for role in Role::VARIANTS {
            let name = format!("`{role}`");
            let row = rows.iter().find(|row| row[0] == name);
            let row = row.unwrap_or_else(|| panic!("no row of {name}"));
            for path in paths() {
                let method = path.rsplit('/').next().unwrap();
                let service = path.split('/').nth(1).unwrap();
                let service = service.rsplit('.').next().unwrap();
                if needs(&path) == Some(Needs::Role(*role)) && *role != Role::Participant {
                    assert!(row[1].contains(&format!("`{method}`")), "{name}: {method}");
                    assert!(row[1].contains(service), "{name}: {service}");
                }
            }
        }
    }
}
