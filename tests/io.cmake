morex_add_test(NAME io_test LABEL unit LINK morex_io SOURCES
  unit/io/safetensors_test.cpp unit/io/safetensors_folder_test.cpp unit/io/gguf_test.cpp unit/io/dequantize_test.cpp
  unit/io/jsonl_test.cpp unit/io/npy_test.cpp unit/io/event_writer_test.cpp unit/io/text_check_test.cpp unit/io/torch_file_test.cpp)
morex_add_test(NAME io_golden_test LABEL golden LINK morex_io SOURCES
  golden/io/gguf_golden_test.cpp golden/io/gguf_bad_test.cpp golden/io/safetensors_bad_test.cpp)
morex_add_test(NAME io_property_test LABEL property LINK morex_io SOURCES
  property/io/safetensors_property.cpp property/io/gguf_property.cpp property/io/jsonl_property.cpp
  property/io/torch_file_property.cpp)
