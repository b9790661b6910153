package io.kvcache.internal.tree;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.VariantClass;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;

/**
 * Goal: the tree agrees with a map from chunk to entries under any order of calls, its structure is valid after each,
 * and positions stay right. Method: seeded calls on both; {@code -Dtest.seed} replays one.
 */
class PrefixTreeModelTest {
  private static final int STEPS = 400;
  private static final int CAP = 5;
  private static final int MOST_CHUNKS = 12;

  /** A chunk: which context it ends. */
  private record Chunk(ChunkKey root, String context) {
    ChunkKey key() {
      return Contexts.keys(root, context).getLast();
    }

    ChunkKey previous() {
      return context.length() == 1 ? root : before().key();
    }

    Chunk before() {
      return new Chunk(root, context.substring(0, context.length() - 1));
    }
  }

  private record Watched(Chunk chunk, Position position) {}

  /** What is there, with the expiry it was placed with. */
  private final Map<Chunk, Set<Stored>> model = new HashMap<>();
  /** When the first of a chunk that was ever placed since it was last gone from everywhere expires. */
  private final Map<Chunk, Long> earliest = new HashMap<>();
  private final List<Watched> watched = new ArrayList<>();
  private final List<Segment> held = new ArrayList<>();
  private final Set<SegmentView> announced = new HashSet<>();
  private SplittableRandom random;
  private PrefixTree tree;
  private Segment moving;
  private int movingFrom;
  private long generations;
  private long now;

  private PrefixTree newTree() {
    announced.clear();
    return new PrefixTree(CAP, 1_000_000_000, event -> {
      switch (event) {
        case PlacementEvent.Placed(SegmentView segment, int tier) -> announced.add(segment);
        case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> announced.add(upper);
        case PlacementEvent.Gone(SegmentView segment) -> announced.remove(segment);
        default -> {
        }
      }
    });
  }

  @RepeatedTest(60)
  void agreesWithAMapUnderAnyOrderOfCalls(RepetitionInfo run) {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    random = new SplittableRandom(seed);
    tree = newTree();
    for (int step = 0; step < STEPS; step++) {
      step();
      check("seed=" + seed + " step=" + step);
    }
    letGoOfEverything();
    check("seed=" + seed + " at the end");
    assertEquals(0, tree.segments(), "seed=" + seed);
    assertEquals(0, tree.chunks(), "seed=" + seed);
    assertEquals(Set.of(), announced, "seed=" + seed);
  }

  private void step() {
    now++;
    switch (random.nextInt(21)) {
      case 0, 1, 2, 3, 4 -> store();
      case 5, 6, 7, 8, 9, 10 -> displaceAny();
      case 11, 12 -> hold();
      case 13, 14 -> release();
      case 15, 16 -> move();
      case 17 -> detachFrom();
      case 18 -> restart(random.nextInt(3));
      case 19 -> expire();
      default -> detachNamespace();
    }
  }

  private ChunkKey anyRoot() {
    return Contexts.root(random.nextInt(2));
  }

  private Stored entry() {
    boolean exact = random.nextInt(3) > 0;
    return new Stored(random.nextInt(2), Encoding.of(exact ? random.nextInt(2) : 3),
        exact ? VariantClass.FULL : VariantClass.SERVING, ++generations, random.nextInt(1, 100),
        random.nextBoolean() ? Stored.NEVER : now + random.nextInt(1, 40));
  }

  private void store() {
    ChunkKey root = anyRoot();
    String context = Contexts.random(random, MOST_CHUNKS);
    boolean join = random.nextInt(4) > 0;
    List<Position> path = tree.ensure(root, Contexts.keys(root, context), Segment.MAX_CHUNKS, leaf -> join);
    assertEquals(context.length(), path.size());
    for (int length = 1; length <= context.length(); length++) {
      Chunk chunk = new Chunk(root, context.substring(0, length));
      if (length == context.length() || random.nextInt(3) > 0) {
        place(chunk, path.get(length - 1), entry());
      }
      if (random.nextInt(4) == 0) {
        watched.add(new Watched(chunk, path.get(length - 1)));
      }
    }
  }

  private void place(Chunk chunk, Position position, Stored stored) {
    tree.place(position, stored);
    Set<Stored> all = model.computeIfAbsent(chunk, key -> new HashSet<>());
    all.removeIf(
        other -> other.tier() == stored.tier() && other.variantClass() == stored.variantClass());
    all.add(stored);
    earliest.merge(chunk, stored.expiryMillis(), Math::min);
  }

  /** Takes out what the tree says has expired, but a few chunks: that nothing else goes is checked after each step. */
  private void expire() {
    Set<ChunkKey> kept = new HashSet<>();
    model.keySet().stream().filter(chunk -> random.nextInt(8) == 0).forEach(chunk -> kept.add(chunk.key()));
    for (Segment segment : tree.expired(now, random.nextInt(1, 5))) {
      assertTrue(!segment.busy() && segment.expiryMillis() <= now);
      int[] count = new int[1];
      int gone = tree.expire(segment, now, kept::contains, (tier, id) -> {
        Chunk chunk =
            model.keySet().stream().filter(each -> each.key().equals(id.key())).findFirst().orElseThrow();
        assertTrue(model.get(chunk).removeIf(
            stored -> stored.tier() == tier && stored.variantClass() == id.variantClass()));
        count[0]++;
      });
      model.values().removeIf(Set::isEmpty);
      assertEquals(count[0], gone);
    }
  }

  private Position find(Chunk chunk) {
    List<Position> path = tree.match(chunk.root, Contexts.keys(chunk.root, chunk.context));
    return path.size() == chunk.context.length() ? path.getLast() : null;
  }

  private void displaceAny() {
    for (Chunk chunk : List.copyOf(model.keySet())) {
      if (random.nextInt(6) == 0) {
        displace(chunk);
      }
    }
  }

  /** Removes an entry of a chunk; one the tree cannot find by its prefix stays. */
  private void displace(Chunk chunk) {
    Position position = find(chunk);
    if (position != null) {
      Stored stored = model.get(chunk).iterator().next();
      tree.displace(position, stored.tier(), stored.encoding(), stored.generation() + 1);
      tree.displace(position, stored.tier(), stored.encoding(), stored.generation());
      model.get(chunk).remove(stored);
      model.values().removeIf(Set::isEmpty);
    }
  }

  private void hold() {
    ChunkKey root = anyRoot();
    List<Position> path = tree.match(root, Contexts.keys(root, Contexts.random(random, MOST_CHUNKS)));
    if (!path.isEmpty()) {
      Segment last = path.getLast().segment();
      tree.hold(last, 1);
      held.add(last);
    }
  }

  private void release() {
    if (!held.isEmpty()) {
      tree.hold(held.remove(random.nextInt(held.size())), -1);
    }
  }

  private void move() {
    if (moving != null) {
      tree.markMigrating(moving, movingFrom, false);
      moving = null;
    } else if (!announced.isEmpty()) {
      List<SegmentView> all = new ArrayList<>(announced);
      all.sort((one, other) -> Long.compare(one.id(), other.id()));
      moving = (Segment) all.get(random.nextInt(all.size()));
      movingFrom = moving.firstChunk();
      tree.markMigrating(moving, movingFrom, true);
    }
  }

  private void detachFrom() {
    ChunkKey root = anyRoot();
    String context = Contexts.random(random, MOST_CHUNKS);
    List<Position> path = tree.match(root, Contexts.keys(root, context));
    if (!path.isEmpty()) {
      int from = random.nextInt(path.size());
      String removed = context.substring(0, from + 1);
      long expected = model.entrySet().stream()
          .filter(each -> each.getKey().root.equals(root) && each.getKey().context.startsWith(removed))
          .filter(each -> find(each.getKey()) != null).mapToLong(each -> each.getValue().size()).sum();
      assertEquals(expected, entriesOf(tree.detachFrom(path.get(from))));
      model.keySet().removeIf(
          chunk -> chunk.root.equals(root) && chunk.context.startsWith(removed) && !orphaned(chunk));
    }
  }

  /** Whether a chunk is in the tree, though its prefix does not lead there. */
  private boolean orphaned(Chunk chunk) {
    boolean[] there = new boolean[1];
    tree.forEach(segment -> {
      for (int index = 0; index < segment.chunks(); index++) {
        there[0] |= segment.hasKey(index, chunk.key());
      }
    });
    return there[0];
  }

  private static long entriesOf(List<Segment> removed) {
    long entries = 0;
    for (Segment segment : removed) {
      for (int index = 0; index < segment.chunks(); index++) {
        entries += new Position(segment, segment.firstChunk() + index).stored().size();
      }
    }
    return entries;
  }

  private void detachNamespace() {
    if (random.nextInt(8) == 0) {
      ChunkKey root = anyRoot();
      long expected = model.entrySet().stream().filter(each -> each.getKey().root.equals(root))
          .mapToLong(each -> each.getValue().size()).sum();
      assertEquals(expected, entriesOf(tree.detachNamespace(root)));
      model.keySet().removeIf(chunk -> chunk.root.equals(root));
    }
  }

  /** Puts what is stored into a new tree; some of it is lost, so that there are orphans. */
  private void restart(int lossOutOfTen) {
    held.clear();
    watched.clear();
    moving = null;
    earliest.clear();
    tree = newTree();
    model.keySet().removeIf(chunk -> random.nextInt(10) < lossOutOfTen);
    List<Chunk> chunks = new ArrayList<>(model.keySet());
    chunks.sort((one, other) -> (one.root + one.context).compareTo(other.root + other.context));
    Collections.shuffle(chunks, new Random(random.nextLong()));
    if (random.nextBoolean()) {
      chunks.sort((one, other) -> Integer.compare(one.context.length(), other.context.length()));
    }
    Map<Chunk, Position> restored = new HashMap<>();
    for (Chunk chunk : chunks) {
      Position before = chunk.context.length() == 1 ? null : restored.get(chunk.before());
      Position position =
          tree.restore(chunk.root, chunk.previous(), before, chunk.context.length() - 1, chunk.key());
      restored.put(chunk, position);
      for (Stored stored : model.get(chunk)) {
        tree.place(position, stored);
        earliest.merge(chunk, stored.expiryMillis(), Math::min);
      }
      watched.add(new Watched(chunk, position));
    }
  }

  private void letGoOfEverything() {
    while (!held.isEmpty()) {
      release();
    }
    if (moving != null) {
      move();
    }
    for (int root = 0; root < 2; root++) {
      tree.detachNamespace(Contexts.root(root));
    }
    model.clear();
  }

  private void check(String at) {
    TreeInspector inspector = new TreeInspector(tree, CAP, at);
    Map<ChunkKey, Set<Stored>> expected = new HashMap<>();
    model.forEach((chunk, stored) -> expected.put(chunk.key(), unexpiring(stored)));
    Map<ChunkKey, Set<Stored>> actual = new HashMap<>();
    inspector.entries().forEach((key, stored) -> actual.put(key, unexpiring(stored)));
    assertEquals(expected, actual, at);
    checkExpiry(inspector, at);
    assertTrue(inspector.segments().containsAll(announced), at + ": announced, but not there");
    assertTrue(announced.containsAll(
        inspector.segments().stream().filter(segment -> !segment.empty()).toList()), at);
    checkPositions(at);
    checkMatches(inspector, at);
    checkHolds(inspector, at);
  }

  private static Set<Stored> unexpiring(Collection<Stored> all) {
    return all.stream().map(each -> new Stored(each.tier(), each.encoding(), each.variantClass(),
        each.generation(), each.bytes())).collect(Collectors.toSet());
  }

  /** A chunk goes no later than it has to, and no earlier than it or one before it. */
  private void checkExpiry(TreeInspector inspector, String at) {
    earliest.keySet().removeIf(chunk -> model.keySet().stream()
        .noneMatch(other -> other.root.equals(chunk.root) && other.context.startsWith(chunk.context)));
    model.forEach((chunk, placed) -> {
      long first = Stored.NEVER;
      for (Chunk each = chunk; each != null; each = each.context.length() == 1 ? null : each.before()) {
        first = Math.min(first, earliest.getOrDefault(each, Stored.NEVER));
      }
      for (Stored stored : inspector.entries().get(chunk.key())) {
        long own = placed.stream().filter(stored::same).findFirst().orElseThrow().expiryMillis();
        assertTrue(stored.expiryMillis() <= own, at + ": " + stored + " expires at " + own);
        assertTrue(stored.expiryMillis() >= first,
            at + ": " + stored + " and those before it, not before " + first);
      }
    });
  }

  private void checkPositions(String at) {
    for (Watched each : watched) {
      assertEquals(each.chunk.key(), each.position.key(), at);
      if (!each.position.segment().detached()) {
        assertEquals(unexpiring(model.getOrDefault(each.chunk, Set.of())),
            unexpiring(each.position.stored()), at);
      }
    }
  }

  private void checkMatches(TreeInspector inspector, String at) {
    for (int look = 0; look < 4; look++) {
      ChunkKey root = anyRoot();
      String context = Contexts.random(random, MOST_CHUNKS);
      List<ChunkKey> keys = Contexts.keys(root, context);
      List<Position> path = tree.match(root, keys);
      int expected = 0;
      while (expected < keys.size() && inspector.keys(root).contains(keys.get(expected))) {
        expected++;
      }
      assertEquals(expected, path.size(), at);
      for (int index = 0; index < expected; index++) {
        assertEquals(keys.get(index), path.get(index).key(), at);
        assertEquals(index, path.get(index).chunk(), at);
      }
    }
  }

  private void checkHolds(TreeInspector inspector, String at) {
    Set<Segment> expected = new HashSet<>();
    for (Segment last : held) {
      for (Segment segment = last; segment != null; segment = segment.above()) {
        expected.add(segment);
      }
    }
    for (Segment segment : inspector.segments()) {
      assertEquals(expected.contains(segment), segment.leased(), at);
    }
  }
}
