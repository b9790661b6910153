package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class PayloadsTest {
  /** Goal: every byte is checked. Method: spoil each in turn, for lengths around a word. */
  @Test
  void anyWrongByteIsFound() {
    for (int length = 1; length < 40; length++) {
      byte[] bytes = new byte[length];
      MemorySegment segment = MemorySegment.ofArray(bytes);
      Payloads.fill(segment, Payloads.key(7), 3, 9);
      assertEquals(-1, Payloads.mismatch(segment, Payloads.key(7), 3, 9));
      for (int at = 0; at < length; at++) {
        bytes[at]++;
        assertEquals(at, Payloads.mismatch(segment, Payloads.key(7), 3, 9));
        bytes[at]--;
      }
    }
  }

  @Test
  void bytesTellTheirVersionAndNothingElseMatches() {
    MemorySegment segment = MemorySegment.ofArray(new byte[64]);
    Payloads.fill(segment, Payloads.key(7), 3, 9);
    assertEquals(9, Payloads.version(segment, Payloads.key(7), 3));
    assertNotEquals(-1, Payloads.mismatch(segment, Payloads.key(7), 3, 10));
    assertNotEquals(-1, Payloads.mismatch(segment, Payloads.key(7), 4, 9));
    assertNotEquals(-1, Payloads.mismatch(segment, Payloads.key(8), 3, 9));
    assertNotEquals(-1, Payloads.mismatch(segment.asSlice(8), Payloads.key(7), 3, 9));
  }
}
