package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * Who is reading which entry, so that its extents are not given to another meanwhile.
 *
 * <p>A reader enters before it looks the entry up; whoever takes an entry out of the index retires its extents
 * afterwards. So only readers that entered before the retirement can have seen them, and the extents are freed when
 * the last of those has left: not only those that entered since the retirement before, since a reader may enter
 * long before it looks. Readers that enter later delay nothing.
 */
final class Readers {
  /** Per entry, groups from oldest to newest; guarded by the entry's slot in the map. */
  private final ConcurrentHashMap<EntryId, ArrayDeque<Group>> groups = new ConcurrentHashMap<>();

  private final Consumer<List<Extent>> free;

  /** Readers that entered between two retirements, and what was retired after them. */
  static final class Group {
    private int count;
    private final List<Extent> retired = new ArrayList<>();
    private boolean sealed;
  }

  /** Calls {@code free} with extents that nobody reads any more, from the thread that made it so. */
  Readers(Consumer<List<Extent>> free) {
    this.free = free;
  }

  /** Enters; to be left with {@link #leave}. */
  Group enter(EntryId id) {
    Group[] entered = new Group[1];
    groups.compute(id, (same, current) -> {
      ArrayDeque<Group> queue = current == null ? new ArrayDeque<>(1) : current;
      if (queue.isEmpty() || queue.getLast().sealed) {
        queue.addLast(new Group());
      }
      entered[0] = queue.getLast();
      entered[0].count++;
      return queue;
    });
    return entered[0];
  }

  /** Leaves a group that was entered. */
  void leave(EntryId id, Group group) {
    List<Extent> freed = new ArrayList<>();
    groups.compute(id, (same, queue) -> {
      group.count--;
      while (!queue.isEmpty() && queue.getFirst().count == 0) {
        freed.addAll(queue.removeFirst().retired);
      }
      return queue.isEmpty() ? null : queue;
    });
    if (!freed.isEmpty()) {
      free.accept(freed);
    }
  }

  /** Frees extents that no look-up finds any more, now or when their last reader leaves. */
  void retire(EntryId id, List<Extent> extents) {
    List<Extent> freed = new ArrayList<>();
    groups.compute(id, (same, queue) -> {
      if (queue == null) {
        freed.addAll(extents);
      } else {
        queue.getLast().retired.addAll(extents);
        queue.getLast().sealed = true;
      }
      return queue;
    });
    free.accept(freed);
  }
}
