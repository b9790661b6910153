package io.kvcache.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import org.junit.jupiter.api.Test;

class EncodingNamesTest {
  /** Goal: what is printed can be given back. Method: every codec, alone and behind every way to drop tokens. */
  @Test
  void namesAreRead() {
    for (Compressor codec : Compressors.all()) {
      Encoding alone = Encoding.of(codec.codec());
      assertEquals(codec.name(), EncodingNames.nameOf(alone));
      assertEquals(alone, EncodingNames.parse(codec.name()));
      for (DropMethod method : DropMethod.values()) {
        if (method != DropMethod.NONE) {
          Encoding pruned = alone.keeping(method, 30);
          assertEquals(pruned, EncodingNames.parse(EncodingNames.nameOf(pruned)));
        }
      }
    }
    assertEquals(Encoding.RAW, EncodingNames.parse("raw"));
    assertEquals(Encoding.RAW.keeping(DropMethod.H2O, 50), EncodingNames.parse("h2o-50"));
  }

  @Test
  void otherNamesAreRefused() {
    for (String name : new String[] {"", "int7", "h2o", "h2o-", "h2o-x", "h2o-50+", "h2o-50+int7", "-50",
      "+int4"}) {
      assertThrows(IllegalArgumentException.class, () -> EncodingNames.parse(name), name);
    }
  }
}
