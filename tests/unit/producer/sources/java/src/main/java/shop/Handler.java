package shop;

public class Handler {}
