morex_add_test(NAME text_golden_test LABEL golden LINK morex_text SOURCES
  golden/text/tokenizers_test.cpp golden/text/vectors_test.cpp golden/text/chat_test.cpp)
