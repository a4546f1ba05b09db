import json
from urllib.request import urlopen


def get(url):
    with urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_the_catalogue_is_served(esb_gateway_url):
    assert get(f"{esb_gateway_url}/catalogue.json") == ["apple", "pear"]


def test_everything_in_the_catalogue_is_in_stock(esb_environment, esb_gateway_url):
    stock = get(f"{esb_environment.urls.database}/stock.json")
    assert all(stock[name] > 0 for name in get(f"{esb_gateway_url}/catalogue.json"))
