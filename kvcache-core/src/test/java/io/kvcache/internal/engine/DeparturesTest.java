package io.kvcache.internal.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.EntryId;
import io.kvcache.testkit.Payloads;
import java.util.List;
import org.junit.jupiter.api.Test;

class DeparturesTest {
  private static final EntryId ID = Payloads.entry(1);
  private static final List<EntryId> ONLY = List.of(ID);

  private final Departures departures = new Departures();

  @Test
  void staysUntilEveryPromisedRemovalWasCarriedOut() {
    departures.promise(ID);
    assertEquals(ONLY, departures.promiseAll());
    departures.kept(ONLY, true);
    assertTrue(departures.contains(ID), "the other removal would hit what is stored now");
    departures.kept(ONLY, true);
    assertFalse(departures.contains(ID));
  }

  @Test
  void failedOnesAreTriedAgainOnce() {
    departures.promise(ID);
    assertEquals(List.of(), departures.promiseFailed(), "somebody is about to");
    departures.kept(ONLY, false);
    assertEquals(ONLY, departures.promiseFailed());
    assertEquals(List.of(), departures.promiseFailed(), "somebody is about to");
    departures.kept(ONLY, true);
    assertFalse(departures.contains(ID));
  }

  @Test
  void aRemovalThatSucceedsMakesUpForOneThatFailed() {
    departures.promise(ID);
    departures.promise(ID);
    departures.kept(ONLY, false);
    departures.kept(ONLY, true);
    assertFalse(departures.contains(ID));
  }
}
