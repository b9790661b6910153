package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.spi.EntryId;
import io.kvcache.testkit.Payloads;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** When retired extents are freed. */
final class ReadersTest {
  private static final EntryId ID = Payloads.entry(1);
  private static final Extent FIRST = new Extent(0, 0, 1);
  private static final Extent SECOND = new Extent(0, 1, 1);

  private final List<Extent> freed = new ArrayList<>();
  private final Readers readers = new Readers(freed::addAll);

  @Test
  void freedAtOnceWithoutReaders() {
    readers.retire(ID, List.of(FIRST));
    assertEquals(List.of(FIRST), freed);
    readers.leave(Payloads.entry(2), readers.enter(Payloads.entry(2)));
    Readers.Group other = readers.enter(Payloads.entry(2));
    readers.retire(ID, List.of(SECOND));
    assertEquals(List.of(FIRST, SECOND), freed, "another entry's reader is in nobody's way");
    readers.leave(Payloads.entry(2), other);
  }

  @Test
  void laterReadersDelayNothing() {
    Readers.Group early = readers.enter(ID);
    readers.retire(ID, List.of(FIRST));
    Readers.Group late = readers.enter(ID);
    assertEquals(List.of(), freed);
    readers.leave(ID, early);
    assertEquals(List.of(FIRST), freed);
    readers.leave(ID, late);
    assertEquals(List.of(FIRST), freed);
  }

  /** Goal: a reader that enters, then sleeps over a replacement, may still read the entry that came with it. */
  @Test
  void slowReaderHoldsWhatWasRetiredSince() {
    Readers.Group slow = readers.enter(ID);
    readers.retire(ID, List.of(FIRST));
    Readers.Group late = readers.enter(ID);
    readers.leave(ID, late);
    readers.retire(ID, List.of(SECOND));
    assertEquals(List.of(), freed);
    readers.leave(ID, slow);
    assertEquals(List.of(FIRST, SECOND), freed);
  }
}
