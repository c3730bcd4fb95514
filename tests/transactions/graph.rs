//! Directed graphs and the cycles in them.

use std::collections::VecDeque;

/// A graph of nodes 0, 1 and so on. An edge has a label.
pub(crate) struct Graph<L> {
    /// Where the edges of each node begin in `edges`, and the end of them all.
    starts: Vec<usize>,
    edges: Vec<(u32, L)>,
}

/// Nodes from which a shortest cycle of a component is looked for.
const SEARCHES_MAX: usize = 100;

impl<L: Copy + Ord> Graph<L> {
    /// A graph of `nodes` nodes and these edges, each from, to, label.
    pub(crate) fn new(nodes: usize, mut edges: Vec<(u32, u32, L)>) -> Graph<L> {
        edges.sort_unstable();
        edges.dedup();
        let mut starts = vec![0; nodes + 1];
        for (from, _, _) in &edges {
            starts[*from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        Graph { starts, edges: edges.into_iter().map(|(_, to, label)| (to, label)).collect() }
    }

    fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    fn from(&self, node: u32) -> &[(u32, L)] {
        &self.edges[self.starts[node as usize]..self.starts[node as usize + 1]]
    }

    /// For each group of nodes that all reach each other a shortest cycle among them, as edges
    /// from, to, label.
    pub(crate) fn cycles(&self) -> Vec<Vec<(u32, u32, L)>> {
        let component = self.components();
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); self.nodes()];
        for (node, component) in component.iter().enumerate() {
            members[*component as usize].push(node as u32);
        }
        members.retain(|members| members.len() > 1);
        members.iter().map(|members| self.shortest_cycle(members, &component)).collect()
    }

    /// For each node the number of its strongly connected component (Tarjan's algorithm, without
    /// recursion).
    fn components(&self) -> Vec<u32> {
        const NONE: u32 = u32::MAX;
        let nodes = self.nodes();
        let (mut order, mut low) = (vec![NONE; nodes], vec![NONE; nodes]);
        let mut component = vec![NONE; nodes];
        let (mut stack, mut path) = (Vec::new(), Vec::new());
        let (mut visited, mut components) = (0, 0);
        for root in 0..nodes as u32 {
            if order[root as usize] != NONE {
                continue;
            }
            path.push((root, 0));
            while let Some((node, next)) = path.pop() {
                let at = node as usize;
                if next == 0 {
                    (order[at], low[at]) = (visited, visited);
                    visited += 1;
                    stack.push(node);
                } else {
                    let child = self.from(node)[next - 1].0 as usize;
                    if component[child] == NONE {
                        low[at] = low[at].min(low[child]);
                    }
                }
                if let Some((child, _)) = self.from(node).get(next) {
                    path.push((node, next + 1));
                    if order[*child as usize] == NONE {
                        path.push((*child, 0));
                    }
                    continue;
                }
                if low[at] == order[at] {
                    while let Some(member) = stack.pop() {
                        component[member as usize] = components;
                        if member == node {
                            break;
                        }
                    }
                    components += 1;
                }
            }
        }
        component
    }

    fn shortest_cycle(&self, members: &[u32], component: &[u32]) -> Vec<(u32, u32, L)> {
        let cycles = members.iter().take(SEARCHES_MAX).map(|node| self.cycle_at(*node, component));
        cycles.min_by_key(Vec::len).expect("a component has members")
    }

    /// A shortest way from a node back to itself within its component.
    fn cycle_at(&self, start: u32, component: &[u32]) -> Vec<(u32, u32, L)> {
        let mut came_by = std::collections::HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for (next, label) in self.from(node) {
                if component[*next as usize] != component[start as usize] {
                    continue;
                }
                came_by.entry(*next).or_insert_with(|| {
                    queue.push_back(*next);
                    (node, *label)
                });
                if *next == start {
                    let mut cycle = Vec::new();
                    let mut to = start;
                    loop {
                        let (from, label) = came_by[&to];
                        cycle.push((from, to, label));
                        to = from;
                        if to == start {
                            cycle.reverse();
                            return cycle;
                        }
                    }
                }
            }
        }
        unreachable!("all nodes of a component reach each other")
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn a_graph_without_cycles_has_none() {
        let graph = Graph::new(4, vec![(0, 1, 'a'), (0, 2, 'a'), (1, 3, 'a'), (2, 3, 'a')]);
        assert!(graph.cycles().is_empty());
    }

    #[test]
    fn the_shortest_cycle_of_each_component_is_found() {
        let edges = vec![
            (0, 1, 'a'),
            (1, 2, 'b'),
            (2, 0, 'c'),
            (1, 0, 'd'),
            (2, 3, 'e'),
            (3, 4, 'f'),
            (4, 3, 'g'),
            (5, 4, 'h'),
        ];
        let mut cycles = Graph::new(6, edges).cycles();
        cycles.sort();
        let expected = [vec![(0, 1, 'a'), (1, 0, 'd')], vec![(3, 4, 'f'), (4, 3, 'g')]];
        assert_eq!(cycles, expected);
    }

    #[test]
    fn a_long_way_round_is_found_without_recursion() {
        let nodes = 300_000;
        let edges = (0..nodes).map(|node| (node, (node + 1) % nodes, ())).collect();
        let cycles = Graph::new(nodes as usize, edges).cycles();
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0].len(), nodes as usize);
    }
}
