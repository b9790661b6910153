package io.kvcache.spi;

import java.util.Objects;

/**
 * One committed entry, as a tier lists it for a warm restart.
 *
 * @param id what it is stored under
 * @param note the latest note given with it
 * @param storedBytes bytes of the medium it takes
 */
public record TierEntry(EntryId id, byte[] note, long storedBytes) {
  /** Checks every component. */
  public TierEntry {
    Objects.requireNonNull(id, "id");
    Objects.requireNonNull(note, "note");
  }
}
