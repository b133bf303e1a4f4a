//! What is written besides the tables that the app's statements name: those behind its views, and those that
//! triggers write.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::danger::Unseen;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::kept_by_server::{self, Named};
use crate::sql::names::{Place, any_of};

/// How many views and triggers may stand behind one another; the servers allow few more.
const DEPTH_MAX: usize = 16;

/// What the statements reach.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// Tables by schema and name, each with the view or trigger that leads to it.
    pub(crate) tables: BTreeMap<(String, String), String>,
    /// What could not be looked into.
    pub(crate) unseen: Vec<Unseen>,
    /// For a person, what triggers do that a branch should not.
    pub(crate) unsound: Vec<String>,
}

/// Follows what is behind these tables, which have purchases' ids in columns of these names.
pub(crate) async fn of(
    session: &mut Session,
    places: &[Place],
    ids: &[String],
    deadline: Instant,
) -> Result<Behind, PacketFailure> {
    let mut behind = Behind::default();
    let schemas = places.iter().map(|place| place.schema().to_owned());
    let mut schemas: BTreeSet<String> = schemas.collect();
    let mut places = places;
    let mut next: Vec<Place>;
    for _ in 0..DEPTH_MAX {
        let mut reached = Vec::new();
        behind
            .views(session, places, &mut reached, deadline)
            .await?;
        behind
            .triggers(session, places, ids, &mut reached, deadline)
            .await?;
        next = Vec::new();
        for (table, by) in reached {
            if let Entry::Vacant(found) = behind.tables.entry(table) {
                let (schema, name) = found.key();
                let place = Place::named(schema, name);
                schemas.insert(place.schema().to_owned());
                next.push(place);
                found.insert(by);
            }
        }
        if next.is_empty() {
            break;
        }
        places = &next;
    }
    let hidden = triggers_hidden(session, &schemas, deadline).await?;
    behind.unseen.extend(hidden);
    Ok(behind)
}

/// A table that was reached, and through what.
type Reached = ((String, String), String);

impl Behind {
    async fn views(
        &mut self,
        session: &mut Session,
        places: &[Place],
        reached: &mut Vec<Reached>,
        deadline: Instant,
    ) -> Result<(), PacketFailure> {
        let query = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE {}",
            any_of(places, ["TABLE_SCHEMA", "TABLE_NAME"])
        );
        for row in &session.query(&query, deadline).await? {
            let (schema, name) = (answer::field(row, 0)?, answer::field(row, 1)?);
            let definition = answer::field(row, 2)?;
            if definition.is_empty() {
                let grant = format!("SHOW VIEW ON `{schema}`.`{name}`");
                self.unseen.push(Unseen {
                    why: format!(
                        "the tables behind view {schema}.{name} can't be seen: GRANT {grant} to tandem's user"
                    ),
                    grant: Some(grant),
                });
            }
            let by = format!("view {schema}.{name}");
            let tables = kept_by_server::of_view(&definition);
            reached.extend(found(tables, &schema, &by));
        }
        Ok(())
    }

    async fn triggers(
        &mut self,
        session: &mut Session,
        places: &[Place],
        ids: &[String],
        reached: &mut Vec<Reached>,
        deadline: Instant,
    ) -> Result<(), PacketFailure> {
        let query = format!(
            "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE {}",
            any_of(places, ["EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE"])
        );
        for row in &session.query(&query, deadline).await? {
            let (schema, name) = (answer::field(row, 0)?, answer::field(row, 1)?);
            let body = answer::field(row, 2)?;
            let by = format!("trigger {schema}.{name}");
            if kept_by_server::calls(&body) {
                self.unseen.push(Unseen {
                    why: format!(
                        "{by} calls a procedure, into which tandem does not look: see to it that all that it \
                         writes is of InnoDB"
                    ),
                    grant: None,
                });
            }
            if let Some(what) = kept_by_server::outlives(&body) {
                self.unsound.push(format!("{by} uses {what}"));
            }
            if let Some(id) = ids.iter().find(|id| kept_by_server::sets(&body, id)) {
                self.unsound.push(format!(
                    "{by} sets NEW.{id}, so that a repeated purchase need not have the id by which it is refused"
                ));
            }
            let tables = kept_by_server::of_trigger(&body);
            reached.extend(found(tables, &schema, &by));
        }
        Ok(())
    }
}

fn found(tables: Vec<Named>, schema: &str, by: &str) -> impl Iterator<Item = Reached> {
    tables.into_iter().map(move |named| {
        let schema = named.schema.unwrap_or_else(|| schema.to_owned());
        ((schema, named.table), by.to_owned())
    })
}

/// Why triggers may be there and not be seen, of each of these schemas: the server lists none to whom it has not
/// granted them.
async fn triggers_hidden(
    session: &mut Session,
    schemas: &BTreeSet<String>,
    deadline: Instant,
) -> Result<Vec<Unseen>, PacketFailure> {
    let mine = "PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), \
                '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')";
    let select = |schema: &String| {
        format!(
            "SELECT {schema}, EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE {mine}) OR EXISTS \
             (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE {mine} AND {schema} LIKE TABLE_SCHEMA)"
        )
    };
    let selects: Vec<String> = schemas.iter().map(select).collect();
    if selects.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session.query(&selects.join(" UNION "), deadline).await?;
    let mut hidden = Vec::new();
    for row in &rows {
        let (schema, sees) = (answer::field(row, 0)?, answer::field(row, 1)?);
        if sees == "0" {
            let grant = format!("TRIGGER ON `{schema}`.*");
            hidden.push(Unseen {
                why: format!(
                    "what triggers write was not looked at: GRANT {grant} to tandem's user, or see to it that \
                     they write InnoDB tables only"
                ),
                grant: Some(grant),
            });
        }
    }
    Ok(hidden)
}
