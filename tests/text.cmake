morex_add_test(NAME text_golden_tokenizers LABEL golden SOURCES golden/text/tokenizers_test.cpp LINK morex_text)
