package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * Who is reading which entry, so that its extents are not given to another meanwhile.
 *
 * <p>A reader enters before it looks the entry up; whoever takes an entry out of the index retires its extents
 * afterwards. A reader that could have seen them has therefore entered before they are retired, and they are freed
 * when the last such reader leaves. Readers that enter later are counted anew and delay nothing.
 */
final class Readers {
  private final ConcurrentHashMap<EntryId, Group> groups = new ConcurrentHashMap<>();
  private final Consumer<List<Extent>> free;

  /** Readers of one entry between two retirements. Guarded by its key's slot in the map. */
  static final class Group {
    private int count;
    private List<Extent> retired = List.of();
  }

  /** Calls {@code free} with extents that nobody reads any more, from the thread that made it so. */
  Readers(Consumer<List<Extent>> free) {
    this.free = free;
  }

  /** Enters; to be left with {@link #leave}. */
  Group enter(EntryId id) {
    return groups.compute(id, (same, current) -> {
      Group group = current == null ? new Group() : current;
      group.count++;
      return group;
    });
  }

  /** Leaves a group that was entered. */
  void leave(EntryId id, Group group) {
    List<Extent> freed = new ArrayList<>();
    groups.compute(id, (same, current) -> {
      group.count--;
      if (group.count == 0) {
        freed.addAll(group.retired);
      }
      return current == group && group.count == 0 ? null : current;
    });
    if (!freed.isEmpty()) {
      free.accept(freed);
    }
  }

  /** Frees extents that no look-up finds any more, now or when their last reader leaves. */
  void retire(EntryId id, List<Extent> extents) {
    List<Extent> freed = new ArrayList<>();
    groups.compute(id, (same, current) -> {
      if (current == null) {
        freed.addAll(extents);
      } else {
        current.retired = List.copyOf(extents);
      }
      return null;
    });
    free.accept(freed);
  }
}
