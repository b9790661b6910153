package io.kvcache.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class ByteSizeConverterTest {
  private final ByteSizeConverter converter = new ByteSizeConverter();

  @ParameterizedTest
  @CsvSource({"0,0", "4096,4096", "17B,17", "64KiB,65536", "64k,65536", "3 MB,3145728", "2GiB,2147483648",
    "1T,1099511627776"})
  void readsBinaryUnits(String text, long bytes) {
    assertEquals(bytes, converter.convert(text));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "-1", "1.5G", "12x", "KiB", "99999999999T", "9999999999999999999999"})
  void namesWhatItCannotRead(String text) {
    TypeConversionException e = assertThrows(TypeConversionException.class, () -> converter.convert(text));
    assertTrue(e.getMessage().contains("'" + text + "'"), e::getMessage);
  }
}
