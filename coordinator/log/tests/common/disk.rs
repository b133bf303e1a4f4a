//! What a disk holds of the recorded operations at any moment, as little as it may hold.
//!
//! The model is stricter than file systems are: content is durable only by a sync of that file, a
//! name only by a sync of its folder.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::SEGMENT_BYTES;

const SECTOR: usize = 512;
const SEGMENT_HEADER_BYTES: usize = 20;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;

/// One recorded operation; see `recorder.c`.
#[derive(Debug)]
pub struct Event {
    pub kind: u8,
    pub descriptor: u32,
    pub number: u64,
    pub bytes: Vec<u8>,
}

impl Event {
    /// The path that an event names.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(String::from_utf8(self.bytes.clone()).unwrap())
    }
}

/// Reads a trace as the recorder wrote it.
pub fn read_trace(path: &Path) -> Vec<Event> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (header, after) = rest.split_at(21);
        let length = u64::from_ne_bytes(header[13..21].try_into().unwrap()) as usize;
        let (content, after) = after.split_at(length);
        events.push(Event {
            kind: header[0],
            descriptor: u32::from_ne_bytes(header[1..5].try_into().unwrap()),
            number: u64::from_ne_bytes(header[5..13].try_into().unwrap()),
            bytes: content.to_vec(),
        });
        rest = after;
    }
    events
}

/// What of the operations since the last sync a power cut leaves.
#[derive(Debug, Clone, Copy)]
pub enum Survives {
    /// Only what was synced.
    Nothing,
    /// All of it, as after a killed process.
    Everything,
    /// Some sectors of some writes, and some of the names.
    Some,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Clone)]
enum Naming {
    Add(PathBuf, usize),
    Remove(PathBuf),
    /// From, to: a rename happens whole or not at all.
    Move(PathBuf, PathBuf, usize),
}

/// A file or folder. Its number stays when its name changes.
#[derive(Debug, Clone, Default)]
struct Node {
    durable: Vec<u8>,
    changes: Vec<Change>,
    is_folder: bool,
    /// Names that appeared and vanished in this folder since it was synced.
    namings: Vec<Naming>,
    /// How many changes and namings were before those.
    synced: Extent,
}

/// A number of changes and of namings.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    changes: usize,
    namings: usize,
}

/// The disk under one folder.
#[derive(Debug, Default)]
pub struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    /// By full path: as the processes see it, and as it is on the disk.
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    descriptors: HashMap<u32, usize>,
    /// Descriptors in a sync: the node, and how much of all that ever happened to it is covered.
    syncing: HashMap<u32, (usize, Extent)>,
}

impl Disk {
    /// A disk that holds nothing but the folder `root`.
    pub fn empty(root: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            ..Self::default()
        };
        disk.add(Node {
            is_folder: true,
            ..Node::default()
        });
        disk.names.insert(root.to_owned(), 0);
        disk.durable_names.insert(root.to_owned(), 0);
        disk
    }

    /// A disk that holds what is in `root` now, all of it durable.
    pub fn holding(root: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            ..Self::default()
        };
        disk.load(root);
        disk.durable_names = disk.names.clone();
        disk
    }

    fn load(&mut self, path: &Path) {
        let is_folder = path.is_dir();
        let durable = if is_folder {
            for entry in std::fs::read_dir(path).unwrap() {
                self.load(&entry.unwrap().path());
            }
            Vec::new()
        } else {
            std::fs::read(path).unwrap()
        };
        self.add(Node {
            durable,
            is_folder,
            ..Node::default()
        });
        self.names.insert(path.to_owned(), self.nodes.len() - 1);
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Lets one operation happen. The copy that an open verifies is left out: it is never synced,
    /// and the next open removes it.
    pub fn apply(&mut self, event: &Event) {
        let names_a_path = matches!(event.kind, b'O' | b'M' | b'U' | b'R');
        if names_a_path && event.path().iter().any(|part| part == "checking") {
            self.descriptors.remove(&event.descriptor);
            return;
        }
        match event.kind {
            b'P' => {
                self.descriptors.clear();
                self.syncing.clear();
            }
            b'O' => self.open(event),
            b'M' => {
                let node = self.add(Node {
                    is_folder: true,
                    ..Node::default()
                });
                self.name(event.path(), node);
            }
            b'U' => self.unname(&event.path()),
            b'R' => {
                let mut paths = event.bytes.split(|byte| *byte == 0);
                let mut path =
                    || PathBuf::from(String::from_utf8(paths.next().unwrap().to_vec()).unwrap());
                let (from, to) = (path(), path());
                let node = self.names.remove(&from).unwrap();
                self.names.insert(to.clone(), node);
                let folder = self.folder_of(&to);
                self.nodes[folder]
                    .namings
                    .push(Naming::Move(from, to, node));
            }
            b'W' => self.change(
                event.descriptor,
                Change::Write(event.number as usize, event.bytes.clone()),
            ),
            b'T' => self.change(event.descriptor, Change::Length(event.number as usize)),
            b'B' => {
                if let Some(&number) = self.descriptors.get(&event.descriptor) {
                    let node = &self.nodes[number];
                    let covered = Extent {
                        changes: node.synced.changes + node.changes.len(),
                        namings: node.synced.namings + node.namings.len(),
                    };
                    self.syncing.insert(event.descriptor, (number, covered));
                }
            }
            b'E' => self.synced(event.descriptor),
            // Made to fail: nothing happened.
            b'F' => {}
            other => panic!("unknown event {other}"),
        }
    }

    fn open(&mut self, event: &Event) {
        let path = event.path();
        let node = match self.names.get(&path) {
            Some(&node) => node,
            None => {
                assert!(event.number & O_CREAT != 0, "{path:?} was never created");
                let node = self.add(Node::default());
                self.name(path, node);
                node
            }
        };
        self.descriptors.insert(event.descriptor, node);
        if event.number & O_TRUNC != 0 {
            self.change(event.descriptor, Change::Length(0));
        }
    }

    fn synced(&mut self, descriptor: u32) {
        let Some((node, covered)) = self.syncing.remove(&descriptor) else {
            return;
        };
        let node = &mut self.nodes[node];
        // Another descriptor's sync of the same node may have ended meanwhile.
        let changes = covered.changes.saturating_sub(node.synced.changes);
        let namings = covered.namings.saturating_sub(node.synced.namings);
        node.synced.changes += changes;
        node.synced.namings += namings;
        for change in node.changes.drain(..changes) {
            apply_change(&mut node.durable, &change);
        }
        for naming in node.namings.drain(..namings) {
            apply_naming(&mut self.durable_names, naming);
        }
    }

    fn change(&mut self, descriptor: u32, change: Change) {
        if let Some(&node) = self.descriptors.get(&descriptor) {
            self.nodes[node].changes.push(change);
        }
    }

    fn name(&mut self, path: PathBuf, node: usize) {
        let folder = self.folder_of(&path);
        self.nodes[folder]
            .namings
            .push(Naming::Add(path.clone(), node));
        self.names.insert(path, node);
    }

    fn unname(&mut self, path: &Path) {
        self.names.remove(path);
        let folder = self.folder_of(path);
        self.nodes[folder]
            .namings
            .push(Naming::Remove(path.to_owned()));
    }

    fn folder_of(&self, path: &Path) -> usize {
        self.names[path.parent().unwrap()]
    }

    /// How many of sled's segments were begun since its file was last synced.
    pub fn segments_begun(&self) -> usize {
        let begins = |change: &&Change| match change {
            // What is not in use is filled with zeros.
            Change::Write(offset, bytes) => {
                offset.is_multiple_of(SEGMENT_BYTES)
                    && bytes
                        .iter()
                        .take(SEGMENT_HEADER_BYTES)
                        .any(|byte| *byte != 0)
            }
            Change::Length(_) => false,
        };
        self.names
            .iter()
            .filter(|(path, _)| path.ends_with("sled/db"))
            .map(|(_, node)| self.nodes[*node].changes.iter().filter(begins).count())
            .sum()
    }

    /// Writes to `target` what the disk holds if the power goes now.
    pub fn write_to(&self, target: &Path, survives: Survives, numbers: &mut Rng) {
        let mut names = self.durable_names.clone();
        for node in &self.nodes {
            let kept = match survives {
                Survives::Nothing => 0,
                Survives::Everything => node.namings.len(),
                // A journal keeps the order of the names in a folder.
                Survives::Some => numbers.usize(..node.namings.len() + 1),
            };
            for naming in &node.namings[..kept] {
                apply_naming(&mut names, naming.clone());
            }
        }
        std::fs::create_dir_all(target).unwrap();
        for (path, &node) in &names {
            let node = &self.nodes[node];
            let to = target.join(path.strip_prefix(&self.root).unwrap());
            // What is in a folder whose own name is not there cannot be found.
            if !to.parent().unwrap().is_dir() {
                continue;
            }
            if node.is_folder {
                std::fs::create_dir_all(&to).unwrap();
                continue;
            }
            let mut content = node.durable.clone();
            for change in &node.changes {
                match (survives, change) {
                    (Survives::Nothing, _) => {}
                    (Survives::Some, Change::Write(offset, bytes)) => {
                        write_sectors(&mut content, *offset, bytes, numbers);
                    }
                    (Survives::Some, Change::Length(_)) if numbers.usize(..2) == 0 => {}
                    (Survives::Everything | Survives::Some, change) => {
                        apply_change(&mut content, change);
                    }
                }
            }
            std::fs::write(to, content).unwrap();
        }
    }
}

/// Lets all, none or some of a write's sectors reach the disk.
fn write_sectors(content: &mut Vec<u8>, offset: usize, bytes: &[u8], numbers: &mut Rng) {
    let fate = numbers.usize(..3);
    let mut from = 0;
    while from < bytes.len() {
        let to = bytes.len().min(from + SECTOR - (offset + from) % SECTOR);
        let kept = match fate {
            0 => false,
            1 => true,
            _ => numbers.usize(..2) == 0,
        };
        if kept {
            apply_change(
                content,
                &Change::Write(offset + from, bytes[from..to].to_vec()),
            );
        }
        from = to;
    }
}

fn apply_change(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, bytes) => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Change::Length(length) => content.resize(*length, 0),
    }
}

fn apply_naming(names: &mut BTreeMap<PathBuf, usize>, naming: Naming) {
    match naming {
        Naming::Add(path, node) => {
            names.insert(path, node);
        }
        Naming::Remove(path) => {
            names.remove(&path);
        }
        Naming::Move(from, to, node) => {
            names.remove(&from);
            names.insert(to, node);
        }
    }
}
