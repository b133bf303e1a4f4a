//! A map for what is looked up for every purchase and never walked through in order.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};

use indexmap::{Equivalent, IndexMap};

/// A hash map that can itself be hashed, as the states of a model are. Its hasher has no random
/// seed: the same events give the same map.
#[derive(Debug, Clone)]
pub(crate) struct UnorderedMap<K: Eq + Hash, V, H: Hasher + Default = DefaultHasher>(
    IndexMap<K, V, BuildHasherDefault<H>>,
);

impl<K: Eq + Hash, V, H: Hasher + Default> UnorderedMap<K, V, H> {
    pub(crate) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.0.get(key)
    }

    pub(crate) fn get_mut<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn remove<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<V> {
        self.0.swap_remove(key)
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.0.reserve(additional);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Eq + Hash, V, H: Hasher + Default> Default for UnorderedMap<K, V, H> {
    fn default() -> Self {
        UnorderedMap(IndexMap::default())
    }
}

impl<K: Eq + Hash, V: PartialEq, H: Hasher + Default> PartialEq for UnorderedMap<K, V, H> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Eq + Hash, V: Eq, H: Hasher + Default> Eq for UnorderedMap<K, V, H> {}

impl<K: Eq + Hash, V: Hash, H: Hasher + Default> Hash for UnorderedMap<K, V, H> {
    /// Equal maps hash alike, whatever order they were filled in.
    fn hash<S: Hasher>(&self, state: &mut S) {
        let plain = BuildHasherDefault::<DefaultHasher>::default();
        let entries = self.0.iter().map(|entry| plain.hash_one(entry));
        state.write_u64(entries.fold(0, u64::wrapping_add));
    }
}
