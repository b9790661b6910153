package io.kvcache.placement;

import java.util.Arrays;

/**
 * The segments of one tier, cheapest to take something from first; of equally cheap ones that with the smaller id. A
 * heap in which every node knows its place, so that a key is changed in O(log n).
 */
final class IndexedHeap {
  private static final int LEAST_CAPACITY = 16;
  /** Children of a node: four keys are about a cache line, and a node moved is a cache miss. */
  private static final int WAYS = 4;

  private final int tier;
  private Node[] nodes = new Node[LEAST_CAPACITY];
  private double[] keys = new double[LEAST_CAPACITY];
  private int size;

  /** An empty heap; a node's place in it is {@code node.places[tier]}. */
  IndexedHeap(int tier) {
    this.tier = tier;
  }

  int size() {
    return size;
  }

  /** The cheapest; null when there is none. */
  Node top() {
    return nodes[0];
  }

  /** Key of the cheapest; infinite when there is none. */
  double topKey() {
    return size == 0 ? Double.POSITIVE_INFINITY : keys[0];
  }

  /** Adds a node, or changes its key. */
  void put(Node node, double key) {
    int at = node.places[tier];
    if (at == Node.NOWHERE) {
      if (size == nodes.length) {
        resize(size * 2);
      }
      at = size++;
      nodes[at] = node;
    }
    keys[at] = key;
    settle(at, node, key);
  }

  /** Takes a node out, if it is there. */
  void remove(Node node) {
    int at = node.places[tier];
    if (at == Node.NOWHERE) {
      return;
    }
    node.places[tier] = Node.NOWHERE;
    size--;
    Node last = nodes[size];
    nodes[size] = null;
    if (at < size) {
      settle(at, last, keys[size]);
    }
    if (size > LEAST_CAPACITY && size < nodes.length / 4) {
      resize(nodes.length / 2);
    }
  }

  /** Multiplies every key; the order stays. */
  void scale(double factor) {
    for (int at = 0; at < size; at++) {
      keys[at] *= factor;
    }
  }

  private void settle(int from, Node node, double key) {
    int at = from;
    while (at > 0 && before(node, key, (at - 1) / WAYS)) {
      set(at, nodes[(at - 1) / WAYS], keys[(at - 1) / WAYS]);
      at = (at - 1) / WAYS;
    }
    int child = smallestChild(at);
    while (child < size && !before(node, key, child)) {
      set(at, nodes[child], keys[child]);
      at = child;
      child = smallestChild(at);
    }
    set(at, node, key);
  }

  private int smallestChild(int at) {
    int least = WAYS * at + 1;
    int end = Math.min(size, least + WAYS);
    for (int child = least + 1; child < end; child++) {
      least = before(nodes[child], keys[child], least) ? child : least;
    }
    return least;
  }

  private boolean before(Node node, double key, int other) {
    int order = Double.compare(key, keys[other]);
    return order < 0 || (order == 0 && node.segment.id() <= nodes[other].segment.id());
  }

  private void set(int at, Node node, double key) {
    nodes[at] = node;
    keys[at] = key;
    node.places[tier] = at;
  }

  private void resize(int capacity) {
    nodes = Arrays.copyOf(nodes, capacity);
    keys = Arrays.copyOf(keys, capacity);
  }
}
