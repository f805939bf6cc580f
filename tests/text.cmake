morex_add_test(NAME text_test LABEL unit LINK morex_text SOURCES
  unit/text/small_tokenizers.cpp unit/text/parts_test.cpp unit/text/tokenizer_test.cpp
  unit/text/word_piece_test.cpp unit/text/chat_template_test.cpp unit/text/tokenizer_files_test.cpp)
morex_add_test(NAME text_golden_test LABEL golden LINK morex_text SOURCES
  golden/text/tokenizers_test.cpp golden/text/vectors_test.cpp golden/text/chat_test.cpp golden/text/gguf_tokenizer_files_test.cpp)
morex_add_test(NAME text_property_test LABEL property LINK morex_text SOURCES
  unit/text/small_tokenizers.cpp property/text/tokenizer_properties.cpp)
