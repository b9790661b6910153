package io.kvcache.internal.tree;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.VariantClass;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Where segments begin and end, one rule at a time; {@link PrefixTreeModelTest} tests them together. */
class PrefixTreeTest {
  private static final ChunkKey ROOT = Contexts.root(0);
  private static final int CAP = 8;

  private final List<PlacementEvent> events = new ArrayList<>();
  private PrefixTree tree = new PrefixTree(CAP, 1_000_000_000, events::add);

  private static List<ChunkKey> keys(String context) {
    return Contexts.keys(ROOT, context);
  }

  private List<Position> match(String context) {
    return tree.match(ROOT, keys(context));
  }

  /** Stores every chunk of a context. */
  private List<Position> store(String context) {
    List<Position> path = tree.ensure(ROOT, keys(context), CAP, leaf -> true);
    path.forEach(position -> tree.place(position, full(1)));
    new TreeInspector(tree, CAP, context);
    return path;
  }

  private static Stored full(long generation) {
    return new Stored(0, Encoding.of(0), VariantClass.FULL, generation, 10);
  }

  private int segmentsOf(List<Position> path) {
    return (int) path.stream().map(Position::segment).distinct().count();
  }

  @Test
  void pathThatExtendsALeafJoinsIt() {
    Segment leaf = store("aaa").getLast().segment();
    assertSame(leaf, store("aaaaa").getLast().segment());
    assertEquals(1, tree.segments());
    assertEquals(5, leaf.chunks());
  }

  @Test
  void prefixOfASegmentDoesNotSplitIt() {
    Segment leaf = store("aaaaa").getLast().segment();
    assertSame(leaf, store("aaa").getLast().segment());
    assertEquals(3, match("aaab").size());
    assertEquals(1, tree.segments());
  }

  @Test
  void branchSplitsWhereContextsPart() {
    List<Position> one = store("aaaaa");
    List<Position> other = store("aabb");
    assertEquals(3, tree.segments());
    assertSame(one.get(1).segment(), other.get(1).segment());
    assertNotSame(one.get(2).segment(), other.get(2).segment());
    assertEquals(2, one.get(0).segment().chunks());
    assertEquals(2, one.get(4).segment().firstChunk());
    assertTrue(tree.branchesBehind(one.get(1)));
    assertFalse(tree.branchesBehind(one.get(0)));
    assertTrue(tree.continues(one.get(3)));
    assertFalse(tree.continues(one.get(4)));
    assertEquals(1, events.stream().filter(PlacementEvent.Split.class::isInstance).count());
  }

  @Test
  void segmentsAreCapped() {
    List<Position> path = store("a".repeat(CAP * 2 + 3));
    assertEquals(3, tree.segments());
    assertEquals(3, segmentsOf(path));
    assertEquals(CAP, path.getFirst().segment().chunks());
    assertEquals(3, path.getLast().segment().chunks());
  }

  /** Goal: whether a leaf may be joined is asked of what it was before, not of chunks that are just being added. */
  @Test
  void allOfAPathJoinsOrNothing() {
    Segment leaf = store("a").getLast().segment();
    List<Position> path = tree.ensure(ROOT, keys("a".repeat(CAP)), CAP, PrefixTreeTest::endsStored);
    assertSame(leaf, path.getLast().segment());
    assertEquals(1, tree.segments());
    path.forEach(position -> tree.place(position, full(1)));
    List<Position> longer = tree.ensure(ROOT, keys("a".repeat(2 * CAP + 1)), CAP, PrefixTreeTest::endsStored);
    assertEquals(3, segmentsOf(longer), "the cap holds");
  }

  private static boolean endsStored(Segment leaf) {
    return !new Position(leaf, leaf.firstChunk() + leaf.chunks() - 1).stored().isEmpty();
  }

  @Test
  void leafThatMayNotBeJoinedGetsAChild() {
    store("aa");
    List<Position> path = tree.ensure(ROOT, keys("aaaa"), CAP, leaf -> false);
    tree.place(path.getLast(), full(2));
    assertEquals(2, segmentsOf(path));
    assertEquals(2, path.getLast().segment().chunks());
  }

  /** Goal: joins and splits give the smallest tree there is. Method: compare with one built from all contexts. */
  @Test
  void segmentsAreTheRunsBetweenBranches() {
    for (long seed = 0; seed < 200; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      PrefixTree any = new PrefixTree(Segment.MAX_CHUNKS, 1_000_000_000, events::add);
      Set<String> contexts = new HashSet<>();
      for (int step = 0; step < 30; step++) {
        String context = Contexts.random(random, 12);
        contexts.add(context);
        List<Position> path = any.ensure(ROOT, keys(context), Segment.MAX_CHUNKS, leaf -> true);
        path.forEach(position -> any.place(position, full(1)));
        assertEquals(runs(contexts), any.segments(), "seed=" + seed + " step=" + step + " " + contexts);
        new TreeInspector(any, Segment.MAX_CHUNKS, "seed=" + seed);
      }
    }
  }

  /** Prefixes that are the end of a run: those that go on in no way or in several. */
  private static int runs(Set<String> contexts) {
    Map<String, Set<Character>> next = new HashMap<>();
    for (String context : contexts) {
      for (int length = 1; length <= context.length(); length++) {
        Set<Character> letters =
            next.computeIfAbsent(context.substring(0, length), prefix -> new HashSet<>());
        if (length < context.length()) {
          letters.add(context.charAt(length));
        }
      }
    }
    return (int) next.values().stream().filter(letters -> letters.size() != 1).count();
  }

  @Test
  void heldSegmentOutlivesItsEntries() {
    List<Position> path = store("aaa");
    tree.hold(path.getLast().segment(), 1);
    path.forEach(position -> tree.displace(position, 0, Encoding.of(0), 1));
    assertEquals(3, match("aaa").size());
    tree.hold(path.getLast().segment(), -1);
    assertEquals(0, match("aaa").size());
    assertEquals(0, tree.segments());
    assertTrue(path.getLast().segment().detached());
    assertTrue(events.getLast() instanceof PlacementEvent.Gone);
  }

  @Test
  void holdOnWhatIsSplitLaterIsReleasedOnAllOfIt() {
    Segment last = store("aaaa").getLast().segment();
    tree.hold(last, 1);
    List<Position> branch = store("aab");
    assertTrue(branch.get(1).segment().leased());
    assertTrue(last.leased());
    assertFalse(branch.get(2).segment().leased());
    tree.hold(last, -1);
    assertFalse(branch.get(1).segment().leased());
    assertFalse(last.leased());
  }

  @Test
  void migrationMarksWhatIsSplitOffMeanwhileAndNothingElse() {
    store("aaaaaaaaaa");
    Segment moved = match("aaaaaaaaaa").getLast().segment();
    int firstChunk = moved.firstChunk();
    assertEquals(CAP, firstChunk);
    tree.markMigrating(moved, firstChunk, true);
    List<Position> branch = store("aaaaaaaaabb");
    Segment upper = branch.get(8).segment();
    assertNotSame(moved, upper);
    assertTrue(upper.migrating() && moved.migrating());
    assertFalse(branch.get(0).segment().migrating());
    tree.markMigrating(moved, firstChunk, false);
    assertFalse(upper.migrating() || moved.migrating());
  }

  @Test
  void segmentBeingMovedIsNotJoined() {
    Segment leaf = store("aa").getLast().segment();
    tree.markMigrating(leaf, 0, true);
    assertNotSame(leaf, store("aaa").getLast().segment());
  }

  @Test
  void displacingAnotherGenerationDoesNothing() {
    Position position = store("a").getFirst();
    tree.displace(position, 0, Encoding.of(0), 2);
    tree.displace(position, 1, Encoding.of(0), 1);
    tree.displace(position, 0, Encoding.of(1), 1);
    assertEquals(List.of(full(1)), position.stored());
  }

  @Test
  void missingParentLeavesItsChildren() {
    List<Position> path = store("aaaa");
    store("aab");
    tree.displace(path.get(0), 0, Encoding.of(0), 1);
    tree.displace(path.get(1), 0, Encoding.of(0), 1);
    assertEquals(4, match("aaaa").size());
    assertTrue(path.get(1).stored().isEmpty());
    assertEquals(List.of(full(1)), path.get(3).stored());
  }

  @Test
  void entryInAnotherEncodingReplacesThatOfItsClass() {
    Position position = store("a").getFirst();
    Stored lossy = new Stored(0, Encoding.of(3), VariantClass.SERVING, 2, 5);
    tree.place(position, lossy);
    assertEquals(Set.of(full(1), lossy), Set.copyOf(position.stored()));
    Stored packed = new Stored(0, Encoding.of(1), VariantClass.FULL, 1, 7);
    tree.place(position, packed);
    assertEquals(Set.of(packed, lossy), Set.copyOf(position.stored()));
    assertEquals(12, position.segment().bytesIn(0));
  }

  @Test
  void detachingRemovesAChunkAndAllBehindIt() {
    List<Position> path = store("aaaa");
    store("aaab");
    List<Segment> removed = tree.detachFrom(path.get(1));
    assertEquals(4, removed.stream().mapToInt(Segment::chunks).sum());
    assertEquals(1, match("aaaa").size());
    assertTrue(path.get(1).segment().detached());
    assertFalse(path.get(0).segment().detached());
    assertEquals(keys("aaaa").get(2), path.get(2).key());
    assertEquals(List.of(full(1)), path.get(3).stored());
    new TreeInspector(tree, CAP, "detached");
  }

  @Test
  void namespacesAreApart() {
    store("aaa");
    ChunkKey other = Contexts.root(1);
    assertEquals(0, tree.match(other, Contexts.keys(other, "aaa")).size());
    assertEquals(List.of(), tree.detachNamespace(other));
    assertEquals(1, tree.detachNamespace(ROOT).size());
    assertEquals(0, tree.segments());
    store("aaa");
    assertEquals(3, match("aaa").size());
  }

  /** Goal: what is stored behind a lost chunk is found again once that is stored again. */
  @Test
  void orphansWaitForTheirParent() {
    List<ChunkKey> keys = keys("aaaaaa");
    Position third = tree.restore(ROOT, keys.get(1), null, 2, keys.get(2));
    tree.place(third, full(3));
    Position fourth = tree.restore(ROOT, keys.get(2), third, 3, keys.get(3));
    tree.place(fourth, full(4));
    assertSame(third.segment(), fourth.segment());
    assertEquals(0, match("aaaaaa").size());
    assertNull(third.segment().parent());
    assertEquals(keys.get(1), third.segment().previous());
    store("aa");
    assertEquals(4, match("aaaaaa").size());
    assertSame(third.segment(), match("aaaa").getLast().segment());
    assertEquals(keys.get(1), third.segment().previous());
    assertEquals(List.of(full(4)), match("aaaa").getLast().stored());
  }

  /** Goal: a note that lies about its place in the chain does not bring the tree out of order. */
  @Test
  void orphanOfAnotherDepthIsNotAdopted() {
    List<ChunkKey> keys = keys("aaaaaa");
    Position liar = tree.restore(ROOT, keys.get(1), null, 7, keys.get(2));
    tree.place(liar, full(3));
    assertEquals(2, store("aa").size());
    assertEquals(2, match("aaa").size());
    new TreeInspector(tree, CAP, "liar");
    tree.displace(liar, 0, Encoding.of(0), 3);
    assertEquals(1, tree.segments());
  }

  @Test
  void orphanThatIsSplitStaysFindable() {
    List<ChunkKey> keys = keys("aaaa");
    Position second = tree.restore(ROOT, keys.get(0), null, 1, keys.get(1));
    Position third = tree.restore(ROOT, keys.get(1), second, 2, keys.get(2));
    Position branch = tree.restore(ROOT, keys.get(1), second, 2, keys("aab").get(2));
    List.of(second, third, branch).forEach(position -> tree.place(position, full(1)));
    assertEquals(3, tree.segments());
    new TreeInspector(tree, CAP, "split orphan");
    store("a");
    assertEquals(3, match("aab").size());
    assertEquals(3, match("aaa").size());
  }

  @Test
  void usesBeforeTheMachineWasStartedKeepTheirOrder() {
    Segment one = store("a").getFirst().segment();
    Segment other = store("b").getFirst().segment();
    one.restoreUse(1, 1, -5_000_000_000L);
    one.restoreUse(4, 4, -6_000_000_000L);
    other.restoreUse(2, 2, -7_000_000_000L);
    assertEquals(-5_000_000_000L, one.lastUseNanos());
    assertEquals(-7_000_000_000L, other.lastUseNanos());
    assertEquals(2, one.frequency(-4_000_000_000L), 1e-9);
    one.use(-4_000_000_000L);
    assertEquals(3, one.frequency(-4_000_000_000L), 1e-9);
  }

  @Test
  void whatIsStoredLongAfterTheMachineWasStartedCountsAsUsedOnce() {
    long halfLife = 1_000_000_000;
    for (long now : new long[] {0, 100 * halfLife, -100 * halfLife}) {
      tree = new PrefixTree(CAP, halfLife, events::add);
      Segment segment = store("a").getFirst().segment();
      segment.store(now);
      assertEquals(1, segment.frequency(now), "at " + now);
      assertEquals(now, segment.lastUseNanos());
      assertEquals(0.5, segment.frequency(now + halfLife), 1e-9, "at " + now);
      segment.use(now + halfLife);
      segment.store(now + halfLife);
      assertEquals(1.5, segment.frequency(now + halfLife), 1e-9, "stored again, at " + now);
    }
  }
}
